"""Parameters of `hdir` by likelihood of legitimate logins; no attack is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log

from authkit.evaluation.collect import Case
from authkit.risk.models.hdir import PATHS, everybodys

_LOWEST, _HIGHEST, _STEPS = 0.01, 300.0, 60
GRID: tuple[float, ...] = tuple(
    exp(log(_LOWEST) + (log(_HIGHEST) - log(_LOWEST)) * step / (_STEPS - 1))
    for step in range(_STEPS)
)
# The user's count of the level above, of the value, and everybody's frequency of it.
Draw = tuple[int, int, float]


def fit(cases: Iterable[Case]) -> dict[str, float]:
    """Return the beta of each level under which the next legitimate login is likeliest.

    Every login is predicted from those before it, so each of them is held out once.
    """
    return {
        level: max(GRID, key=lambda beta: _likelihood(drawn, beta))
        for level, drawn in _draws(cases).items()
    }


def _draws(cases: Iterable[Case]) -> dict[str, list[Draw]]:
    draws: dict[str, list[Draw]] = {level: [] for path in PATHS for level in path}
    for case in cases:
        if case.attack or case.evidence.n == 0:
            continue
        counts = case.evidence.by_level()
        for path in PATHS:
            own, parent = case.evidence.n, case.evidence.total
            for level in path:
                count = counts.get(level)
                if count is None or own == 0:
                    continue
                seen = min(count.seen, own)
                draws[level].append((own, seen, everybodys(count, parent)))
                own, parent = seen, min(count.everybody, parent)
    return draws


def _likelihood(draws: Sequence[Draw], beta: float) -> float:
    return sum(log((seen + beta * g) / (own + beta)) for own, seen, g in draws)
