"""What a measurement means: pass, regression, inconclusive or invalid.

Everything here was fixed before anything was measured: margin, level, looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from authkit.harness.gate.statistics import Comparison, holm


class Verdict(Enum):
    """What one benchmark says of a change."""

    PASS = "pass"  # noqa: S105 # a verdict
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a change is slower.

    `margin` is what does not matter, and how far the control may stray, at the level
    `stray`; `detect` the slowdown that a pass excludes; `alpha` the chance of one false
    alarm in a whole gate. So many `teams` of processes measure, each so many `blocks`
    in a pass.
    After `looks[i]` passes the run stops if it is certain by then; each look has its
    share of `alpha`. No pass is begun that would end after `limit_s`. `most_invalid` is
    the share of benchmarks that may be invalid before the whole run is.
    """

    margin: float = 0.015
    detect: float = 0.05
    stray: float = 0.05
    alpha: float = 0.01
    power: float = 0.95
    teams: int = 6
    blocks: int = 6
    looks: tuple[int, ...] = (2, 4, 8)
    limit_s: float = 9.5
    most_invalid: float = 0.25
    most_steal: float = 0.10

    def over(self, passes: int, seconds: float) -> bool:
        """Whether these were the last: one more, as long, would end too late."""
        longest = seconds * (passes + 1) / passes
        return passes >= self.looks[-1] or longest > self.limit_s


RULE: Final = Rule()


@dataclass(frozen=True, slots=True)
class Measured:
    """One benchmark: head beside base, and base beside itself in the same blocks."""

    benchmark: str
    change: Comparison
    control: Comparison
    base_us: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """One benchmark's verdict; `p` is adjusted for looks and for all benchmarks."""

    measured: Measured
    verdict: Verdict
    p: float
    detectable: float


def p_of(measured: Measured, rule: Rule = RULE) -> float:
    """Return the p-value of one benchmark, adjusted for the looks taken."""
    return min(1.0, measured.change.p_slower(rule.margin) * len(rule.looks))


def control_strays(control: Comparison, rule: Rule = RULE) -> bool:
    """Tell whether the same code measured twice differs by more than the margin.

    By both statistics, certainly, to either side. One that merely scatters tells of
    noise, and the scatter of the change beside it is in its own interval.
    """
    least = min(one.p_slower(rule.margin) for one in (control, control.turned))
    return least < rule.stray


def is_certain(measured: Measured, benchmarks: int, rule: Rule = RULE) -> bool:
    """Tell whether more blocks could not change what is said."""
    if p_of(measured, rule) < rule.alpha / benchmarks:
        return True
    return measured.change.excludes(rule.margin)


def judge(
    found: Sequence[Measured], rule: Rule = RULE, *, among: int = 0
) -> tuple[Judgement, ...]:
    """Judge all benchmarks of a run together; as if they were `among` so many."""
    others = max(0, among - len(found))
    adjusted = holm([*(p_of(one, rule) for one in found), *[1.0] * others])[
        : len(found)
    ]
    return tuple(
        Judgement(
            one,
            _verdict(one, p, rule),
            p,
            one.change.minimum_detectable(
                rule.margin,
                rule.alpha / (max(len(found), among) * len(rule.looks)),
                rule.power,
            ),
        )
        for one, p in zip(found, adjusted, strict=True)
    )


def _verdict(one: Measured, p: float, rule: Rule) -> Verdict:
    if control_strays(one.control, rule):
        return Verdict.INVALID
    if p < rule.alpha:
        return Verdict.REGRESSION
    if one.change.excludes(rule.detect):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


class Judged(Protocol):
    """Whatever has a verdict: of times, of tails."""

    @property
    def verdict(self) -> Verdict:
        """What became of it."""
        ...


def exit_code(
    judgements: Sequence[Judged], *, faults: int, steal: float, rule: Rule = RULE
) -> int:
    """Return 1 for a regression or a higher exact cost, 2 for a run that is no proof.

    Exact costs do not hang on the weather: they count in an invalid run too.
    """
    if faults:
        return 1
    invalid = sum(one.verdict is Verdict.INVALID for one in judgements)
    if steal > rule.most_steal or invalid > rule.most_invalid * len(judgements):
        return 2
    return int(any(one.verdict is Verdict.REGRESSION for one in judgements))
