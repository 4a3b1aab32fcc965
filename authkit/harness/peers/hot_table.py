"""What came of the hot path beside its peers: ratios, their intervals, one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from authkit.figures import Figure, figure
from authkit.harness.peers import hot_world as world
from authkit.harness.peers.interval import interval

CLIENTS: Final = (1, 2, 4, 8, 32)
FEW: Final = (1, 2, 4, 8)
_PLAIN: Final = "threads validate 8"
_LEAST: Final = "coalescer over plain calls, 1 to 8"
_OVER_BARE: Final = "client CPU over bare libpq's"


@dataclass(slots=True)
class Cells:
    """Calls a second of every arm, a value for each round."""

    rates: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, arm: str, rate: float) -> None:
        """Note what an arm did in one round."""
        self.rates.setdefault(arm, []).append(rate)

    def ratios(self, arm: str, *others: str) -> list[float]:
        """Return one arm over the best of others, round by round."""
        against = [self.rates[other] for other in others if other in self.rates]
        return [
            rate / best
            for place, rate in enumerate(self.rates.get(arm, []))
            if (best := max((other[place] for other in against), default=0.0))
        ]


@dataclass(frozen=True, slots=True)
class Pair:
    """An arm over the best of others; an arm's first word is its stack."""

    name: str
    arm: str
    others: tuple[str, ...]
    goal: float | None = None

    def without(self, missing: Mapping[str, str]) -> str:
        """Return why it cannot be told: of these stacks, or ''."""
        stacks = (other.partition(" ")[0] for other in self.others)
        return next((missing[stack] for stack in stacks if stack in missing), "")


# Of pgbench at its best, coalesced; and over Drizzle.
_FOLDED_GOALS: Final = {"validate": 1.5, "touch": 4.5, "attempt": 2.8, "limiter": 4.4}
_DRIZZLE_GOALS: Final = {"validate": 5, "touch": 6, "attempt": 4, "limiter": 7}
PAIRS: Final = (
    Pair("validate over pgbench, 8 clients", _PLAIN, ("pgbench validate 8",), 0.75),
    Pair(
        "sync coalescer over psycopg_pool, 32 threads",
        "threads validate folded 32",
        ("psycopg_pool validate 32",),
        3.5,
    ),
    Pair(
        "validate with throttled touch over validate",
        "threads touched 8",
        (_PLAIN,),
        0.9,
    ),
    Pair("validate over asyncpg, 8 clients", _PLAIN, ("asyncpg validate 8",), 1.05),
    Pair("validate over Drizzle, 8 clients", _PLAIN, ("drizzle validate 8",), 1.6),
    Pair("validate over SQLAlchemy Core, 8 clients", _PLAIN, ("core validate 8",)),
    Pair("validate over SQLAlchemy ORM, 8 clients", _PLAIN, ("orm validate 8",)),
    *(
        pair
        for name in world.OPERATIONS
        for pair in (
            Pair(
                f"{name} coalesced over pgbench at its best",
                f"tasks {name} folded",
                tuple(f"pgbench {name} {count}" for count in CLIENTS),
                _FOLDED_GOALS[name],
            ),
            Pair(
                f"{name} coalesced over Drizzle",
                f"tasks {name} folded",
                (f"drizzle {name}",),
                _DRIZZLE_GOALS[name],
            ),
        )
    ),
)


def ratios(
    cells: Cells, cpu: Sequence[tuple[float, float]], missing: Mapping[str, str]
) -> dict[str, list[float]]:
    """Return every ratio by its name, a value for each round; none of what is missing.

    Args:
        cells: calls a second.
        cpu: what a validation costs the client, ours and libpq's alone.
        missing: why, of each stack that could not run.
    """
    found = {
        pair.name: cells.ratios(pair.arm, *pair.others)
        for pair in PAIRS
        if not pair.without(missing)
    }
    few = [
        cells.ratios(f"tasks validate folded {n}", f"tasks validate {n}") for n in FEW
    ]
    measured = [values for values in few if values]
    found[_LEAST] = min(measured, key=median) if measured else []
    found[_OVER_BARE] = [ours / bare for ours, bare in cpu]
    return found


def figures(found: Mapping[str, Sequence[float]]) -> tuple[Figure, ...]:
    """Return the median of each ratio over rounds, beside its goal."""
    goals = {pair.name: pair.goal for pair in PAIRS} | {_LEAST: 0.95}
    made: list[Figure] = []
    for name, values in found.items():
        bound = goals.get(name)
        goal = None if bound is None else (">=", bound)
        made.append(figure(name, median(values) if values else None, "x", goal=goal))
    return tuple(made)


def markdown(
    made: Sequence[Figure],
    found: Mapping[str, Sequence[float]],
    missing: Mapping[str, str],
) -> str:
    """Return the table; what a missing stack would have told is said to be missing."""
    lines = ["| figure | value | interval | goal |", "|---|---:|---:|---:|"]
    for one in made:
        value = "not measured" if one.value is None else f"{one.value:.4g} {one.unit}"
        within = ""
        values = found.get(one.name, ())
        if len(values) > 1:  # one round has none
            within = "{:.4g} to {:.4g}".format(*interval(values))
        lines.append(f"| {one.name} | {value} | {within} | {one.goal or ''} |")
    lines += [
        f"| {pair.name} | missing: {why} | | |"
        for pair in PAIRS
        if (why := pair.without(missing))
    ]
    return "\n".join(lines) + "\n"
