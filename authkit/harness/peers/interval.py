"""How sure a median over rounds is."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from statistics import median
from typing import Final

_DRAWS: Final = 2000


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % interval of the median, by bootstrap over rounds."""
    chance = Random(1)  # noqa: S311 # drawing again, no secret
    drawn = sorted(median(chance.choices(values, k=len(values))) for _ in range(_DRAWS))
    return drawn[int(0.025 * _DRAWS)], drawn[int(0.975 * _DRAWS)]
