"""What a load run measured: histograms and errors by time slot, operation and node.

Recordings of many workers merge into one without losing anything. Time is cut into
slots of wall-clock time, so that phases (before, during and after a fault) and the
series of a report are sums of slots, decided afterwards and the same for every worker.

Service time is what the call took. Response time counts from the moment the arrival
was *scheduled*: under an open loop it holds the wait that a stall causes. Generator lag
is the part of that wait that the load generator itself caused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple

from authkit.errors import InvalidInput
from authkit.harness.histogram import Histogram

Loop = Literal["open", "closed"]
NO_NODE: Final = "none"
TICK_S: Final = 0.01


class Count(NamedTuple):
    """What is counted beside the calls: a retry, a stale read; node may be `none`."""

    slot: int
    what: str
    node: str


class Key(NamedTuple):
    """What one series is about; node and role are `none` where no node served."""

    operation: str
    role: str
    node: str


class Cell:
    """All calls of one key that ended in one slot."""

    __slots__ = ("errors", "failed", "response", "service", "wait")

    def __init__(self) -> None:
        self.service = Histogram()
        """Durations of the calls that succeeded."""
        self.response = Histogram()
        """The same from their scheduled start; empty under a closed loop."""
        self.failed = Histogram()
        """Durations of the calls that failed."""
        self.errors: dict[str, int] = {}
        """Failures by class: SQLSTATE class or name of the error, never its message."""
        self.wait = Histogram()
        """Part of the service time spent waiting for a connection of the pool, of the
        calls that had to wait for one."""

    def record(
        self, service_s: float, response_s: float | None, error: str | None
    ) -> None:
        """Add one call, or one task: see `Recorder.record`."""
        if error is not None:
            self.failed.record(int(service_s * 1e9))
            self.errors[error] = self.errors.get(error, 0) + 1
            return
        self.service.record(int(service_s * 1e9))
        if response_s is not None:
            self.response.record(int(response_s * 1e9))

    def add(self, other: Cell) -> None:
        """Merge another cell into this one, exactly."""
        self.service.add(other.service)
        self.response.add(other.response)
        self.failed.add(other.failed)
        self.wait.add(other.wait)
        for name, count in other.errors.items():
            self.errors[name] = self.errors.get(name, 0) + count

    @property
    def succeeded(self) -> int:
        """Number of calls that succeeded."""
        return self.service.count

    @property
    def calls(self) -> int:
        """Number of calls, failed ones included."""
        return self.service.count + self.failed.count

    def as_dict(self) -> dict[str, Any]:
        """Return a form for JSON and msgpack."""
        return {
            "service": self.service.as_dict(),
            "response": self.response.as_dict(),
            "failed": self.failed.as_dict(),
            "wait": self.wait.as_dict(),
            "errors": dict(self.errors),
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Cell:
        """Read what `as_dict` returned."""
        made = cls()
        made.service = Histogram.from_dict(form["service"])
        made.response = Histogram.from_dict(form["response"])
        made.failed = Histogram.from_dict(form["failed"])
        made.wait = Histogram.from_dict(form["wait"])
        made.errors = dict(form["errors"])
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cell):
            return NotImplemented
        return all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType] # mutable: equal by content


@dataclass(frozen=True, slots=True)
class Recording:
    """One run, or a part of one: merge parts with `merge`, read it with `select`.

    `cells` is keyed by (slot, key); slot n covers `slot_s` seconds of wall-clock time
    from n * slot_s after the Unix epoch. `lag` is the generator lag by slot:
    by how much its timers were late. `late`
    counts arrivals that found every worker busy, `skipped` those given up. `counts` is
    what happened beside the calls. `alive` has, by role, the ticks of `TICK_S` in which
    a node of that role served a call: what is missing is an outage. `visits` are tasks
    of several operations as their caller saw them, by name.
    """

    slot_s: float
    loop: Loop
    cells: Mapping[tuple[int, Key], Cell] = field(
        default_factory=dict[tuple[int, Key], Cell]
    )
    lag: Mapping[int, Histogram] = field(default_factory=dict[int, Histogram])
    late: int = 0
    skipped: int = 0
    counts: Mapping[Count, int] = field(default_factory=dict[Count, int])
    alive: Mapping[str, frozenset[int]] = field(
        default_factory=dict[str, frozenset[int]]
    )
    visits: Mapping[str, Cell] = field(default_factory=dict[str, Cell])

    def merge(self, other: Recording) -> Recording:
        """Return both in one, exactly as if one process had recorded all of it.

        Raises:
            InvalidInput: they were cut into slots of different lengths.
        """
        return merged((self, other))

    def select(
        self,
        wanted: Callable[[Key], bool] | None = None,
        slots: Callable[[int], bool] | None = None,
    ) -> Cell:
        """Return the sum of every cell whose key and slot are wanted."""
        total = Cell()
        for (slot, key), cell in self.cells.items():
            if (wanted is None or wanted(key)) and (slots is None or slots(slot)):
                total.add(cell)
        return total

    def renamed(self, nodes: Mapping[str, str]) -> Recording:
        """Return the same with other names for nodes; one not named stays as it is."""
        return replace(
            self,
            cells={
                (slot, key._replace(node=nodes.get(key.node, key.node))): cell
                for (slot, key), cell in self.cells.items()
            },
            counts={
                key._replace(node=nodes.get(key.node, key.node)): count
                for key, count in self.counts.items()
            },
        )

    def counted(self, what: str, slots: Callable[[int], bool] | None = None) -> int:
        """Return how often something happened beside the calls."""
        return sum(
            count
            for key, count in self.counts.items()
            if key.what == what and (slots is None or slots(key.slot))
        )

    def silence(
        self, role: str, began_s: float, ended_s: float
    ) -> tuple[float, float] | None:
        """Return the longest time without an answer of a role that a fault touched.

        That is the longest gap between two moments at which a node of that role served
        a call, among those gaps that end after the fault began and start before it
        ended; to the hundredth of a second, by which an answer that was under way at
        the end may be taken in later. None when nothing was served before the fault,
        or nothing after its end: nothing was seen to come back.
        """
        moments = [tick * TICK_S for tick in sorted(self.alive.get(role, ()))]
        if not moments or moments[0] > began_s or moments[-1] < ended_s - TICK_S:
            return None
        return max(
            (
                (before, after)
                for before, after in pairwise(moments)
                if after > began_s and before < ended_s + TICK_S
            ),
            key=lambda gap: gap[1] - gap[0],
            default=None,
        )

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every key that occurs, sorted."""
        return tuple(sorted({key for _, key in self.cells}))

    @property
    def operations(self) -> tuple[str, ...]:
        """Every operation that occurs, sorted."""
        return tuple(sorted({key.operation for _, key in self.cells}))

    @property
    def span(self) -> tuple[float, float] | None:
        """Wall-clock start of the first slot and end of the last, None when empty."""
        if not self.cells:
            return None
        slots = [slot for slot, _ in self.cells]
        return min(slots) * self.slot_s, (max(slots) + 1) * self.slot_s

    def as_dict(self) -> dict[str, Any]:
        """Return a form for JSON and msgpack."""
        return {
            "slot_s": self.slot_s,
            "loop": self.loop,
            "cells": [
                [slot, list(key), cell.as_dict()]
                for (slot, key), cell in self.cells.items()
            ],
            "lag": [[slot, h.as_dict()] for slot, h in self.lag.items()],
            "late": self.late,
            "skipped": self.skipped,
            "counts": [[*key, count] for key, count in self.counts.items()],
            "alive": {role: sorted(ticks) for role, ticks in self.alive.items()},
            "visits": {name: cell.as_dict() for name, cell in self.visits.items()},
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Recording:
        """Read what `as_dict` returned."""
        return cls(
            slot_s=form["slot_s"],
            loop=form["loop"],
            cells={
                (slot, Key(*key)): Cell.from_dict(cell)
                for slot, key, cell in form["cells"]
            },
            lag={slot: Histogram.from_dict(h) for slot, h in form["lag"]},
            late=form["late"],
            skipped=form["skipped"],
            counts={Count(*key): count for *key, count in form["counts"]},
            alive={role: frozenset(ticks) for role, ticks in form["alive"].items()},
            visits={
                name: Cell.from_dict(cell) for name, cell in form["visits"].items()
            },
        )


def merged(parts: Iterable[Recording]) -> Recording:
    """Return all parts in one, each looked at once; at least one is needed.

    Raises:
        InvalidInput: they were cut into slots of different lengths.
    """
    all_parts = list(parts)
    cells: dict[tuple[int, Key], Cell] = {}
    lag: dict[int, Histogram] = {}
    counts: dict[Count, int] = {}
    alive: dict[str, set[int]] = {}
    visits: dict[str, Cell] = {}
    for part in all_parts:
        if part.slot_s != all_parts[0].slot_s:
            raise InvalidInput("recordings with different slots cannot be merged")
        for at, cell in part.cells.items():
            cells.setdefault(at, Cell()).add(cell)
        for name, cell in part.visits.items():
            visits.setdefault(name, Cell()).add(cell)
        for slot, histogram in part.lag.items():
            lag.setdefault(slot, Histogram()).add(histogram)
        for key, count in part.counts.items():
            counts[key] = counts.get(key, 0) + count
        for role, ticks in part.alive.items():
            alive.setdefault(role, set()).update(ticks)
    return Recording(
        all_parts[0].slot_s,
        "open" if any(part.loop == "open" for part in all_parts) else "closed",
        cells,
        lag,
        sum(part.late for part in all_parts),
        sum(part.skipped for part in all_parts),
        counts,
        {role: frozenset(ticks) for role, ticks in alive.items()},
        visits,
    )
