"""The commands that compare two versions and judge: exact costs, then times."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from authkit.errors import InvalidInput
from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate import budgets, comparing, verdicts
from authkit.harness.gate.arms import HEAD, Tree, commit_of, repository, tree_of
from authkit.harness.gate.budgets import Budgets, Judged
from authkit.harness.gate.ground import prepared
from authkit.harness.gate.statistics import geometric_mean
from authkit.harness.gate.verdicts import RULE, Judgement, Rule

BASE: Final = "base"
CONTROL: Final = "control"


@dataclass(frozen=True, slots=True)
class Compared:
    """All that one comparison found; `code` is the exit code of a gate."""

    base: str
    head: str
    costs: Judged
    judgements: tuple[Judgement, ...]
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
    rule: Rule = RULE,
    progress: Progress = silent,
) -> Compared:
    """Count and time two versions side by side, and judge the difference.

    Args:
        base: the revision to compare with.
        head: the revision to judge; the tree as it is, when None.
        only: time these operations; the hot path, when empty.
        timed: also time; otherwise the exact costs alone decide.
        rule: what is judged how.
        progress: told the phase, what is done and what there is to do.

    Raises:
        InvalidInput: there is no such revision or operation, or no checkout.
        ArmFailed: a version could not do the work.
    """
    started, began = datetime.now(UTC), monotonic()
    root = repository()
    committed = budgets.load(root / budgets.FILE) if head is None else None
    before = comparing.processor_times()
    with ExitStack() as stack:
        old = stack.enter_context(tree_of(root, base, BASE))
        new = stack.enter_context(tree_of(root, head, HEAD if head is None else head))
        was, now = budgets.count((old, new), progress=progress)
        costs = budgets.judge_versions(was, now, committed)
        judgements: tuple[Judgement, ...] = ()
        notes: tuple[str, ...] = ()
        if timed:
            again = Tree(CONTROL, old.root, old.python)
            judgements, notes = _timed((old, new, again), only, rule, progress)
    steal = comparing.stolen(before, comparing.processor_times())
    code = verdicts.exit_code(
        judgements, faults=len(costs.faults), steal=steal, rule=rule
    )
    names = (commit_of(root, base), commit_of(root, head))
    report = Report(
        command="bench gate",
        started=started,
        seconds=monotonic() - began,
        figures=_figures(costs, judgements, steal),
        postgres=now.fingerprint["postgres"],
        extra=_extra(names, costs, now, judgements, notes),
    )
    return Compared(*names, costs, judgements, notes, steal, report, code)


def _timed(
    trees: tuple[Tree, Tree, Tree],
    only: Sequence[str],
    rule: Rule,
    progress: Progress,
) -> tuple[tuple[Judgement, ...], tuple[str, ...]]:
    with prepared(trees, progress) as ground, ground.teams(comparing.TEAMS) as teams:
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
        with comparing.settled(teams) as missing:
            found = comparing.measure_all(teams, names, rule=rule, progress=progress)
    notes += missing
    return verdicts.judge(found, rule), tuple(notes)


def _figures(
    costs: Judged, judgements: Sequence[Judgement], steal: float
) -> tuple[Figure, ...]:
    found = [figure("costs over the base", len(costs.faults), goal=("<=", 0))]
    for verdict in verdicts.Verdict:
        count = sum(one.verdict is verdict for one in judgements)
        worst = verdict is verdicts.Verdict.REGRESSION
        goal = ("<=", 0.0) if worst else None
        found.append(figure(f"verdict {verdict.value}", count, goal=goal))
    ratios = [one.measured.change.ratio for one in judgements]
    controls = [one.measured.control.ratio for one in judgements]
    found += [
        figure("geometric mean", round(geometric_mean(ratios), 4), "ratio"),
        figure("geometric mean of the control", round(geometric_mean(controls), 4)),
        figure("stolen by the hypervisor", round(100 * steal, 2), "%"),
    ]
    return tuple(found)


def _extra(
    names: tuple[str, str],
    costs: Judged,
    head: Budgets,
    judgements: Sequence[Judgement],
    notes: Sequence[str],
) -> dict[str, object]:
    return {
        "base": names[0],
        "revision": names[1],
        "environment": dict(head.fingerprint),
        "differences": [str(one) for one in costs.differences],
        "accepted": [str(one) for one in costs.accepted],
        "notes": list(notes),
        "benchmarks": [as_dict(one) for one in judgements],
    }


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
