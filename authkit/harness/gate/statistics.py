"""How much slower, and how sure: two robust statistics and their block bootstrap.

Pure: arrays in, estimates out. Neighbouring calls share the weather of the machine, so
what is drawn again is whole blocks, each with both versions in it (Kuensch 1989, "The
jackknife and the bootstrap for general stationary observations").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.float64]

LOW_QUANTILE: Final = 0.25
RESAMPLES: Final = 400
CONFIDENCE: Final = 0.95
# How far two processes of one version are apart, however long they are measured: seen
# in runs that none of the reported rates includes. A handful of pairs may look closer.
SPREAD: Final = 0.008
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of times: its logarithm and the standard error of that."""

    log_ratio: float
    error: float

    @property
    def ratio(self) -> float:
        """How many times as long."""
        return exp(self.log_ratio)

    def bound(self, confidence: float = CONFIDENCE, *, upper: bool) -> float:
        """Return the one-sided bound of the ratio."""
        reach = _NORMAL.inv_cdf(confidence) * self.error
        return exp(self.log_ratio + (reach if upper else -reach))

    def p_above(self, margin: float) -> float:
        """Return how likely at least this is where the truth is `1 + margin`."""
        beyond = self.log_ratio - log(1 + margin)
        if self.error == 0:
            return 0.0 if beyond > 0 else 1.0
        return 1 - _NORMAL.cdf(beyond / self.error)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One version beside another: by the quick calls, and by the paired medians.

    Noise only ever adds time, so the low quantile sees through it best; the medians of
    blocks that stood side by side do not let a few lucky calls decide.
    """

    low: Estimate
    median: Estimate
    blocks: int

    @property
    def ratio(self) -> float:
        """The smaller of the two claims."""
        return min((self.low, self.median), key=lambda e: abs(e.log_ratio)).ratio

    @property
    def interval(self) -> tuple[float, float]:
        """From the lower of the lower bounds to the higher of the upper ones."""
        both = (self.low, self.median)
        return (
            min(e.bound(upper=False) for e in both),
            max(e.bound(upper=True) for e in both),
        )

    def p_slower(self, margin: float) -> float:
        """Return the p-value of "slower by more than the margin" in both statistics.

        Both must say so, hence the larger one (intersection-union test, Berger 1982).
        """
        return max(self.low.p_above(margin), self.median.p_above(margin))

    @property
    def turned(self) -> Comparison:
        """The same with the versions exchanged."""
        low, median = (
            Estimate(-one.log_ratio, one.error) for one in (self.low, self.median)
        )
        return Comparison(low, median, self.blocks)

    def excludes(self, slowdown: float) -> bool:
        """Tell whether a slowdown this large would have been seen."""
        both = (self.low, self.median)
        return min(e.bound(upper=True) for e in both) < 1 + slowdown

    def minimum_detectable(self, margin: float, alpha: float, power: float) -> float:
        """Return the least slowdown that such a run finds with this power."""
        error = max(self.low.error, self.median.error)
        reach = _NORMAL.inv_cdf(1 - alpha) + _NORMAL.inv_cdf(power)
        return (1 + margin) * exp(reach * error) - 1


def compare(before: Times, after: Times, *, seed: int = 1) -> Comparison:
    """Compare two versions: arrays of pairs of processes, blocks, calls.

    What has the same first two numbers was measured side by side. Processes are drawn
    again too, and blocks within them: where a process happens to lie in memory makes
    it faster or slower for as long as it lives, and no number of blocks tells that from
    the code (Mytkowicz et al. 2009; Kalibera and Jones 2013).

    Raises:
        ValueError: the arrays differ in their numbers, or there is one block only.
    """
    return Comparison(
        low=estimate(before, after, LOW_QUANTILE, seed=seed),
        median=estimate(before, after, 0.5, seed=seed),
        blocks=before.shape[0] * before.shape[1],
    )


def estimate(
    before: Times, after: Times, quantile: float, *, seed: int = 1
) -> Estimate:
    """Estimate the ratio of one quantile, block by block; see `compare`.

    Raises:
        ValueError: the arrays differ in their numbers, or there is one block only.
    """
    if before.shape[:2] != after.shape[:2] or before.shape[1] < 2:
        raise ValueError("as many processes and blocks of both, and two blocks")
    pairs, blocks = before.shape[:2]
    source = np.random.default_rng(seed)
    which = source.integers(0, pairs, size=(RESAMPLES, pairs, 1))
    drawn = source.integers(0, blocks, size=(RESAMPLES, pairs, blocks))
    logs = np.log(
        np.quantile(after, quantile, axis=2) / np.quantile(before, quantile, axis=2)
    )
    again = _middle(logs[which, drawn]).mean(axis=-1)
    error = max(float(again.std(ddof=1)), SPREAD / sqrt(pairs))
    return Estimate(float(_middle(logs).mean()), error)


def _middle(values: Times) -> Times:
    """Return the means along the last axis without its outer sixths."""
    count = values.shape[-1]
    outer = count // 6
    return np.sort(values, axis=-1)[..., outer : count - outer].mean(axis=-1)


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean; of nothing, one."""
    return exp(sum(map(log, ratios)) / len(ratios)) if ratios else 1.0


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for their number, in the same order (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [inf] * len(p_values)
    least = 0.0
    for rank, at in enumerate(order):
        least = max(least, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = least
    return tuple(adjusted)
