"""How well scores separate, in numbers; numpy arrays in, one number out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float64]

PARTIAL = 0.05


def auc(attacks: Scores, legitimate: Scores) -> float:
    """Return the probability that an attack scores above a login; ties count half."""
    ordered = np.sort(legitimate)
    below = np.searchsorted(ordered, attacks, "left")
    not_above = np.searchsorted(ordered, attacks, "right")
    return float((below + not_above).mean() / 2 / len(ordered))


def partial_auc(attacks: Scores, legitimate: Scores, most: float = PARTIAL) -> float:
    """Return the area under the ROC curve up to a false positive rate, divided by it.

    Linear between the points of the curve, so that ties are split.
    """
    rates, hits = _curve(attacks, legitimate)
    inside = rates <= most
    x = np.append(rates[inside], most)
    y = np.append(hits[inside], tpr_at(attacks, legitimate, most))
    return float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1])) / 2 / most)


def tpr_at(attacks: Scores, legitimate: Scores, rate: float) -> float:
    """Return the share of attacks above the line that asks `rate` of logins again."""
    rates, hits = _curve(attacks, legitimate)
    at = int(np.searchsorted(rates, rate, "right")) - 1
    if at + 1 == len(rates):
        return float(hits[at])
    share = (rate - rates[at]) / (rates[at + 1] - rates[at])
    return float(hits[at] + share * (hits[at + 1] - hits[at]))


def line_at(legitimate: Scores, rate: float) -> float:
    """Return the lowest score that at most `rate` of the logins lie above."""
    ordered = np.sort(legitimate)
    return float(ordered[max(0, int(np.ceil(len(ordered) * (1 - rate))) - 1)])


def _curve(attacks: Scores, legitimate: Scores) -> tuple[Scores, Scores]:
    """Return false and true positive rates from the strictest line to none."""
    lines = np.unique(np.concatenate((attacks, legitimate)))[::-1]
    above_a = len(attacks) - np.searchsorted(np.sort(attacks), lines, "left")
    above_l = len(legitimate) - np.searchsorted(np.sort(legitimate), lines, "left")
    rates = np.concatenate(([0.0], above_l / len(legitimate)))
    hits = np.concatenate(([0.0], above_a / len(attacks)))
    return rates, hits


def interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled values."""
    low, high = np.quantile(np.asarray(values), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
