"""Parameters of `hdir` by likelihood of legitimate logins; no attack is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import exp, log

from authkit.evaluation.collect import Case
from authkit.risk.evidence import Count, Evidence
from authkit.risk.features import MOVED, NETWORK
from authkit.risk.models.hdir import HOUR, PATHS, everybodys, hours, moves

_LOWEST, _HIGHEST, _STEPS = 0.01, 300.0, 60
GRID: tuple[float, ...] = tuple(
    exp(log(_LOWEST) + (log(_HIGHEST) - log(_LOWEST)) * step / (_STEPS - 1))
    for step in range(_STEPS)
)
# The user's count of the level above, of the value, and everybody's frequency of it.
Draw = tuple[float, float, float]


def fit(cases: Iterable[Case]) -> dict[str, float]:
    """Return the beta of each level under which the next legitimate login is likeliest.

    Every login is predicted from those before it, so each of them is held out once.
    """
    draws: dict[str, list[Draw]] = {}
    for case in cases:
        if not case.attack and case.evidence.n > 0:
            for level, draw in _draws(case.evidence):
                draws.setdefault(level, []).append(draw)
    return {
        level: max(GRID, key=lambda beta: _likelihood(drawn, beta))
        for level, drawn in draws.items()
    }


def _draws(evidence: Evidence) -> Iterator[tuple[str, Draw]]:
    counts = evidence.by_level()
    for path in PATHS:
        own, parent = evidence.n, evidence.total
        for level in path:
            count = counts.get(level)
            if count is None or own == 0:
                continue
            seen = min(count.seen, own)
            yield level, (own, seen, everybodys(count, parent))
            own, parent = seen, min(count.everybody, parent)
    yield from _moved(counts)
    around = hours(counts, evidence.total)
    if around is not None:
        yield HOUR, (evidence.n, *around)


def _moved(counts: dict[str, Count]) -> Iterator[tuple[str, Draw]]:
    moved, network, ip = counts.get(MOVED), counts.get(NETWORK), counts.get("ip")
    if moved is None or network is None or ip is None or network.seen == 0:
        return
    new, chances, rate = moves(moved, network)
    if ip.seen == 0:
        yield MOVED, (chances, new, rate)
    else:
        yield MOVED, (chances, chances - new, 1 - rate)


def _likelihood(draws: Sequence[Draw], beta: float) -> float:
    return sum(log((seen + beta * g) / (own + beta)) for own, seen, g in draws)
