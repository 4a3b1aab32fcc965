"""The commands that compare two versions and judge: exact costs, then times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

from authkit.errors import InvalidInput
from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate import budgets, comparing, instructions, tails, verdicts
from authkit.harness.gate.arms import (
    HEAD,
    Tree,
    commit_of,
    is_dirty,
    repository,
    tree_of,
)
from authkit.harness.gate.budgets import Judged
from authkit.harness.gate.ground import prepared
from authkit.harness.gate.statistics import geometric_mean
from authkit.harness.gate.tails import TailJudgement
from authkit.harness.gate.verdicts import RULE, Judgement, Rule

BASE: Final = "base"
CONTROL: Final = "control"
_LIMIT_S: Final = 600


@dataclass(frozen=True, slots=True)
class Compared:
    """All that one comparison found; `code` is the exit code of a gate."""

    base: str
    head: str
    costs: Judged
    judgements: tuple[Judgement, ...]
    tails: tuple[TailJudgement, ...]
    notes: tuple[str, ...]
    steal: float
    report: Report
    code: int


def run(
    base: str,
    head: str | None = None,
    *,
    only: Sequence[str] = (),
    timed: bool = True,
    client: bool = True,
    rule: Rule = RULE,
    progress: Progress = silent,
) -> Compared:
    """Count and time two versions side by side, and judge the difference.

    Args:
        base: the revision to compare with.
        head: the revision to judge; the tree as it is, when None.
        only: count and time these operations; when empty, count all and time the
            hot path.
        timed: also time; otherwise the exact costs alone decide.
        client: also count the client's instructions, where valgrind is.
        rule: what is judged how.
        progress: told the phase, what is done and what there is to do.

    Raises:
        InvalidInput: there is no such revision or operation, or no checkout.
        ArmFailed: a version could not do the work.
    """
    started, began = datetime.now(UTC), monotonic()
    root = repository()
    before = comparing.processor_times()
    with ExitStack() as stack:
        old = stack.enter_context(tree_of(root, base, BASE))
        new = stack.enter_context(tree_of(root, head, HEAD if head is None else head))
        before_change, committed = (
            budgets.load(tree.root / budgets.FILE) for tree in (old, new)
        )
        order = () if committed is None else tuple(committed.costs)
        was, now = budgets.count(
            (old, new), only=only, first=order, client=client, progress=progress
        )
        costs = budgets.judge_versions(was, now, committed, before_change)
        timing = _Timing()
        if timed:
            again = Tree(CONTROL, old.root, old.python)
            timing = _timed((old, new, again), only, rule, progress)
    notes = (*_warnings(root, head, client), *timing.notes)
    steal = comparing.stolen(before, comparing.processor_times())
    code = verdicts.exit_code(
        (*timing.judgements, *timing.tails),
        faults=len(costs.faults),
        steal=steal,
        rule=rule,
    )
    names = (commit_of(root, base), commit_of(root, head))
    seconds = monotonic() - began
    took = figure("the whole gate", round(seconds, 1), "s", goal=("<=", _LIMIT_S))
    report = Report(
        command="bench gate",
        started=started,
        seconds=seconds,
        figures=(*_figures(costs, timing, steal), took),
        postgres=now.fingerprint["postgres"],
        extra={
            "base": names[0],
            "revision": names[1],
            "environment": dict(now.fingerprint),
            "differences": [str(one) for one in costs.differences],
            "accepted": [str(one) for one in costs.accepted],
            "notes": list(notes),
            "costs": {name: cost.as_dict() for name, cost in now.costs.items()},
            "benchmarks": [as_dict(one) for one in timing.judgements],
            "tails": [tail_as_dict(one) for one in timing.tails],
        },
    )
    return Compared(
        *names, costs, timing.judgements, timing.tails, notes, steal, report, code
    )


@dataclass(frozen=True, slots=True)
class _Timing:
    judgements: tuple[Judgement, ...] = ()
    tails: tuple[TailJudgement, ...] = ()
    notes: tuple[str, ...] = ()


def _warnings(root: Path, head: str | None, client: bool) -> Iterator[str]:
    if head is None and is_dirty(root):
        yield "the tree differs from its commit: judged is the tree as it is"
    if client and not instructions.environment():
        yield instructions.MISSING


def _timed(
    trees: tuple[Tree, Tree, Tree],
    only: Sequence[str],
    rule: Rule,
    progress: Progress,
) -> _Timing:
    with (
        prepared(trees, progress) as ground,
        comparing.opened(ground, rule.teams) as (teams, missing),
    ):
        base, head, _ = teams[0]
        if unknown := [name for name in only if name not in head.operations]:
            raise InvalidInput(f"no such operation: {', '.join(unknown)}")
        wanted = tuple(only) or tuple(
            name for name in comparing.HOT_PATH if name in head.operations
        )
        names = [name for name in wanted if name in base.operations]
        notes = [
            f"{name}: the base has no such operation: not timed"
            for name in wanted
            if name not in base.operations
        ]
        found = comparing.measure_all(teams, names, rule=rule, progress=progress)
        slowest = [name for name in tails.BENCHMARKS if name in names]
        late = tails.measure_all(teams, slowest, progress)
    notes += missing
    return _Timing(verdicts.judge(found, rule), tails.judge(late), tuple(notes))


def _figures(costs: Judged, timing: _Timing, steal: float) -> tuple[Figure, ...]:
    found = [figure("costs over the base", len(costs.faults), goal=("<=", 0))]
    for verdict in verdicts.Verdict:
        count = sum(one.verdict is verdict for one in timing.judgements)
        worst = verdict is verdicts.Verdict.REGRESSION
        goal = ("<=", 0.0) if worst else None
        found.append(figure(f"verdict {verdict.value}", count, goal=goal))
    longer = sum(one.verdict is verdicts.Verdict.REGRESSION for one in timing.tails)
    found.append(figure("longer tails", longer, goal=("<=", 0)))
    ratios = [one.measured.change.ratio for one in timing.judgements]
    controls = [one.measured.control.ratio for one in timing.judgements]
    found += [
        figure("geometric mean", round(geometric_mean(ratios), 4), "ratio"),
        figure("geometric mean of the control", round(geometric_mean(controls), 4)),
        figure("stolen by the hypervisor", round(100 * steal, 2), "%"),
    ]
    return tuple(found)


def as_dict(one: Judgement) -> dict[str, object]:
    """Return one judgement as a report holds it."""
    change, control = one.measured.change, one.measured.control
    low, high = change.interval
    return {
        "benchmark": one.measured.benchmark,
        "verdict": one.verdict.value,
        "ratio": round(change.ratio, 5),
        "interval": [round(low, 5), round(high, 5)],
        "low_quantile": round(change.low.ratio, 5),
        "paired_median": round(change.median.ratio, 5),
        "control": round(control.ratio, 5),
        "p": one.p,
        "detectable": round(one.detectable, 5),
        "base_us": round(one.measured.base_us, 2),
        "blocks": change.blocks,
        "seconds": round(one.measured.seconds, 2),
    }


def tail_as_dict(one: TailJudgement) -> dict[str, object]:
    """Return the judgement of one tail as a report holds it."""
    tail = one.tail
    return {
        "benchmark": tail.benchmark,
        "verdict": one.verdict.value,
        "why": one.why,
        "ratio": round(tail.change.ratio, 4),
        "interval": [
            round(tail.change.bound(upper=upper), 4) for upper in (False, True)
        ],
        "control": round(tail.control.ratio, 4),
        "p": one.p,
        "base_p99_us": round(tail.base_us, 1),
        "busy": round(tail.busy, 3),
        "seconds": round(tail.seconds, 2),
    }
