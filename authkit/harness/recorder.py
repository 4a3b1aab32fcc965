"""What a load run measured: histograms and errors by time slot, operation and node.

A `Recorder` is filled by one process and hands over a `Recording`; recordings of many
workers merge into one without losing anything. Time is cut into slots of wall-clock
time, so that phases (before, during and after a fault) and the series of a report are
sums of slots, decided afterwards and the same for every worker.

Service time is what the call took. Response time counts from the moment the arrival
was *scheduled*: under an open loop it holds the wait that a stall causes. Generator lag
is the part of that wait that the load generator itself caused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple

from authkit.errors import InvalidInput
from authkit.harness.histogram import Histogram

Loop = Literal["open", "closed"]
NO_NODE: Final = "none"


class Key(NamedTuple):
    """What one series is about; node and role are `none` where no node served."""

    operation: str
    role: str
    node: str


class Cell:
    """All calls of one key that ended in one slot."""

    __slots__ = ("errors", "failed", "response", "service")

    def __init__(self) -> None:
        self.service = Histogram()
        """Durations of the calls that succeeded."""
        self.response = Histogram()
        """The same from their scheduled start; empty under a closed loop."""
        self.failed = Histogram()
        """Durations of the calls that failed."""
        self.errors: dict[str, int] = {}
        """Failures by class: SQLSTATE class or name of the error, never its message."""

    def add(self, other: Cell) -> None:
        """Merge another cell into this one, exactly."""
        self.service.add(other.service)
        self.response.add(other.response)
        self.failed.add(other.failed)
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
            "errors": dict(self.errors),
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Cell:
        """Read what `as_dict` returned."""
        made = cls()
        made.service = Histogram.from_dict(form["service"])
        made.response = Histogram.from_dict(form["response"])
        made.failed = Histogram.from_dict(form["failed"])
        made.errors = dict(form["errors"])
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cell):
            return NotImplemented
        return (self.service, self.response, self.failed, self.errors) == (
            other.service,
            other.response,
            other.failed,
            other.errors,
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType] # mutable: equal by content


@dataclass(frozen=True, slots=True)
class Recording:
    """One run, or a part of one: merge parts with `merge`, read it with `select`.

    `cells` is keyed by (slot, key); slot n covers `slot_s` seconds of wall-clock time
    from n * slot_s after the Unix epoch. `lag` is the generator lag by slot. `late`
    counts arrivals that found every worker busy, `skipped` those given up.
    """

    slot_s: float
    loop: Loop
    cells: Mapping[tuple[int, Key], Cell] = field(
        default_factory=dict[tuple[int, Key], Cell]
    )
    lag: Mapping[int, Histogram] = field(default_factory=dict[int, Histogram])
    late: int = 0
    skipped: int = 0

    def merge(self, other: Recording) -> Recording:
        """Return both in one, exactly as if one process had recorded all of it.

        Raises:
            InvalidInput: they were cut into slots of different lengths.
        """
        if self.slot_s != other.slot_s:
            raise InvalidInput("recordings with different slots cannot be merged")
        cells = {at: _copied(cell) for at, cell in self.cells.items()}
        for at, cell in other.cells.items():
            cells.setdefault(at, Cell()).add(cell)
        lag: dict[int, Histogram] = {}
        for part in (self.lag, other.lag):
            for slot, histogram in part.items():
                lag.setdefault(slot, Histogram()).add(histogram)
        loop: Loop = "open" if "open" in {self.loop, other.loop} else "closed"
        return Recording(
            self.slot_s,
            loop,
            cells,
            lag,
            self.late + other.late,
            self.skipped + other.skipped,
        )

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
        )


def _copied(cell: Cell) -> Cell:
    copy = Cell()
    copy.add(cell)
    return copy


def merged(parts: Iterable[Recording]) -> Recording:
    """Return all parts in one; at least one is needed."""
    first, *rest = parts
    for part in rest:
        first = first.merge(part)
    return first


class Recorder:
    """Takes the measurements of one process, without locks: one thread or gevent.

    `clock` gives seconds of wall-clock time that never step back; the default counts
    on from one reading of the wall clock, so a clock that is set in mid-run does no
    harm.
    """

    def __init__(
        self,
        *,
        slot_s: float = 0.25,
        loop: Loop = "closed",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.slot_s = slot_s
        self.loop: Loop = loop
        self._clock = steady_wall_clock() if clock is None else clock
        self._cells: dict[tuple[int, Key], Cell] = {}
        self._lag: dict[int, Histogram] = {}
        self._late = 0
        self._skipped = 0

    def record(
        self,
        operation: str,
        role: str | None,
        node: str | None,
        service_s: float,
        *,
        response_s: float | None = None,
        error: str | None = None,
    ) -> None:
        """Count one call that ended just now.

        Args:
            operation: its name in the registry.
            role: `primary` or `replica`, None where no node served it.
            node: the node's name, None where no node served it.
            service_s: seconds the call took.
            response_s: seconds since its scheduled start, under an open loop.
            error: the class of its failure (see `errorclass`), None on success.
        """
        slot = int(self._clock() / self.slot_s)
        at = (slot, Key(operation, role or NO_NODE, node or NO_NODE))
        cell = self._cells.get(at)
        if cell is None:
            cell = self._cells[at] = Cell()
        if error is not None:
            cell.failed.record(int(service_s * 1e9))
            cell.errors[error] = cell.errors.get(error, 0) + 1
            return
        cell.service.record(int(service_s * 1e9))
        if response_s is not None:
            cell.response.record(int(response_s * 1e9))

    def arrival(self, lag_s: float, *, late: bool) -> None:
        """Count one arrival of an open loop: the generator's lag, and whether late."""
        slot = int(self._clock() / self.slot_s)
        self._lag.setdefault(slot, Histogram()).record(int(lag_s * 1e9))
        self._late += late

    def skip(self, count: int = 1) -> None:
        """Count arrivals that were given up because nobody was free for them."""
        self._skipped += count

    def drain(self) -> Recording:
        """Hand over what was recorded since the last time and begin anew."""
        part = Recording(
            self.slot_s, self.loop, self._cells, self._lag, self._late, self._skipped
        )
        self._cells, self._lag, self._late, self._skipped = {}, {}, 0, 0
        return part


def steady_wall_clock() -> Callable[[], float]:
    """Return a clock of wall-clock seconds that never steps back."""
    offset = time.time() - time.perf_counter()
    return lambda: time.perf_counter() + offset
