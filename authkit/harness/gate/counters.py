"""Exact costs of an operation: counted, not timed, so that load changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final

# Between two runs of one environment nothing differs at all; this is for the rounding
# of what a file holds.
TOLERANCE: Final = 1e-4
# The client's code may grow by a few bytecodes; the server's work may not grow at all.
MARGINS: Final[Mapping[str, float]] = {"instructions": 0.01}
UNITS: Final[Mapping[str, str]] = {
    "round_trips": "round trips",
    "statements": "statements",
    "blocks": "shared buffers",
    "wal_bytes": "bytes of WAL",
    "plan": "plan",
    "instructions": "instructions",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs, on average over a fixed sequence of calls.

    `blocks` are shared buffers that were touched, found in memory or not. `plan` is the
    shape of the generic plan: nodes, tables and indexes. `instructions` are the
    client's; None where they were not counted.
    """

    round_trips: float
    statements: float
    blocks: float
    wal_bytes: float
    plan: str
    instructions: float | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Cost:
        """Read one from what a worker said, or from a table of a budget file.

        Raises:
            KeyError: a counter is missing.
            ValueError: a counter is no number.
        """
        counted = {
            name: round(float(found[name]), 4)
            for name in UNITS
            if name != "plan" and (name != "instructions" or name in found)
        }
        return cls(**counted, plan=str(found["plan"]))

    def as_dict(self) -> dict[str, float | str]:
        """Return the counters by name, those that were counted."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if value is not None}


class Change(Enum):
    """How a cost differs from what it was."""

    MORE = "more"
    LESS = "less"
    OTHER = "other"
    ADDED = "added"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Difference:
    """One counter of one operation that is not what it was."""

    operation: str
    counter: str
    before: float | str | None
    after: float | str | None
    change: Change

    @property
    def worse(self) -> bool:
        """True when it costs more, or is planned otherwise."""
        return self.change in {Change.MORE, Change.OTHER}

    def __str__(self) -> str:
        if self.change is Change.ADDED:
            return f"{self.operation}: no budget yet"
        if self.change is Change.GONE:
            return f"{self.operation}: not counted any more"
        unit = UNITS[self.counter]
        if self.change is Change.OTHER:
            return f"{self.operation}: another plan: {self.before} -> {self.after}"
        return f"{self.operation}: {self.before:.9g} -> {self.after:.9g} {unit}"


def differences(
    before: Mapping[str, Cost], after: Mapping[str, Cost]
) -> tuple[Difference, ...]:
    """Compare the costs of every operation, in the order of the later ones."""
    found: list[Difference] = []
    for name, cost in after.items():
        was = before.get(name)
        if was is None:
            found.append(Difference(name, "", None, None, Change.ADDED))
            continue
        found += _of_one(name, was, cost)
    found += [
        Difference(name, "", None, None, Change.GONE)
        for name in before
        if name not in after
    ]
    return tuple(found)


def _of_one(name: str, was: Cost, now: Cost) -> list[Difference]:
    found: list[Difference] = []
    for counter in UNITS:
        old, new = getattr(was, counter), getattr(now, counter)
        if counter == "plan":
            if old != new:
                found.append(Difference(name, counter, old, new, Change.OTHER))
        elif old is None or new is None:
            continue
        elif abs(new - old) > MARGINS.get(counter, TOLERANCE) * max(abs(old), abs(new)):
            change = Change.MORE if new > old else Change.LESS
            found.append(Difference(name, counter, old, new, change))
    return found
