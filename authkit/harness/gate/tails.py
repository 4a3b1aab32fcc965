"""The slowest calls of both versions, in an open loop: gated apart from the others.

A call is due when it is due: one that is late because the one before was slow waited as
long as its caller would have. That is what a closed loop leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

import numpy as np

from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate.comparing import Teams
from authkit.harness.gate.statistics import Estimate, estimate, holm
from authkit.harness.gate.verdicts import Verdict

BENCHMARKS: Final = (
    "sessions.create",
    "sessions.validate",
    "attempts.record",
    "rate_limits.check",
)
QUANTILE: Final = 0.99
_SLICES: Final = 4
_CALLS: Final = 300
_PACE: Final = 60
# Calls fall due so that the base is busy for this share of the time.
_SHARE: Final = 0.35


@dataclass(frozen=True, slots=True)
class TailRule:
    """When a tail is longer: a rare event tells less, so less of it is asked.

    A base that is busy for more than `most_busy` could not hold the rate: its queue was
    measured, and the run says nothing.
    """

    margin: float = 0.25
    detect: float = 1.0
    stray: float = 0.05
    alpha: float = 0.01
    most_busy: float = 0.7


RULE: Final = TailRule()


@dataclass(frozen=True, slots=True)
class Tail:
    """The ratio of the quantiles, and how busy base and control were."""

    benchmark: str
    change: Estimate
    control: Estimate
    base_us: float
    busy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TailJudgement:
    """What one tail says; `why` is given where it says nothing."""

    tail: Tail
    verdict: Verdict
    p: float
    why: str = ""


def measure_all(
    teams: Teams, benchmarks: Sequence[str], progress: Progress = silent
) -> tuple[Tail, ...]:
    """Measure the tails of each benchmark on base, head and control."""
    found: list[Tail] = []
    for done, name in enumerate(benchmarks):
        progress("tails", done, len(benchmarks))
        found.append(measure(teams, name))
    progress("tails", len(benchmarks), len(benchmarks))
    return tuple(found)


def measure(teams: Teams, benchmark: str) -> Tail:
    """Measure one, in slices of the three versions in turn."""
    began = monotonic()
    base = teams[0][0]
    times = base.ask("block", operation=benchmark, calls=_PACE)["times"]
    rate = _SHARE * 1e9 / float(np.median(times))
    found: list[list[list[list[float]]]] = [[] for _ in range(3)]
    busy: list[list[float]] = [[] for _ in range(3)]
    for number, team in enumerate(teams):
        rows: list[list[list[float]]] = [[] for _ in range(3)]
        for part in range(_SLICES):
            for at in (0, 1, 2) if part % 2 else (2, 1, 0):
                said = team[at].ask(
                    "arrive",
                    operation=benchmark,
                    calls=_CALLS,
                    rate=rate,
                    seed=number * _SLICES + part,
                )
                rows[at].append(said["times"])
                busy[at].append(said["busy"])
        for version, row in zip(found, rows, strict=True):
            version.append(row)
    first, second, third = (np.asarray(version, dtype=float) for version in found)
    return Tail(
        benchmark,
        change=estimate(first, second, QUANTILE),
        control=estimate(first, third, QUANTILE),
        base_us=float(np.quantile(first, QUANTILE)) / 1000,
        busy=max(float(np.median(busy[0])), float(np.median(busy[2]))),
        seconds=monotonic() - began,
    )


def judge(found: Sequence[Tail], rule: TailRule = RULE) -> tuple[TailJudgement, ...]:
    """Judge the tails of a run together."""
    adjusted = holm([one.change.p_above(rule.margin) for one in found])
    return tuple(_judged(one, p, rule) for one, p in zip(found, adjusted, strict=True))


def _judged(one: Tail, p: float, rule: TailRule) -> TailJudgement:
    if one.busy > rule.most_busy:
        said = f"generator saturated: the base was busy for {one.busy:.0%} of the time"
        return TailJudgement(one, Verdict.INVALID, p, said)
    turned = Estimate(-one.control.log_ratio, one.control.error)
    if min(e.p_above(rule.margin) for e in (one.control, turned)) < rule.stray:
        said = f"the control is off: {one.control.ratio:.2f} times"
        return TailJudgement(one, Verdict.INVALID, p, said)
    if p < rule.alpha:
        return TailJudgement(one, Verdict.REGRESSION, p)
    if one.change.bound(upper=True) < 1 + rule.detect:
        return TailJudgement(one, Verdict.PASS, p)
    return TailJudgement(one, Verdict.INCONCLUSIVE, p, "too uneven to tell")
