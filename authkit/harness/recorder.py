"""Takes the measurements of one process; see `recording` for what they are."""

from __future__ import annotations

import time
from collections.abc import Callable

from authkit.harness.histogram import Histogram
from authkit.harness.recording import (
    NO_NODE,
    TICK_S,
    Cell,
    Count,
    Key,
    Loop,
    Recording,
    merged,
)

Closed = Callable[[float, Key, Cell], None]

__all__ = ["NO_NODE", "Cell", "Count", "Key", "Loop", "Recorder", "Recording", "merged"]


class Recorder:
    """Takes the measurements of one process, without locks: one thread or gevent.

    `clock` gives seconds of wall-clock time that never step back; the default counts
    on from one reading of the wall clock, so a clock that is set in mid-run does no
    harm. `closed` is told of the calls of each key once, when their slot is over: the
    moment it began, the key, the calls.
    """

    def __init__(
        self,
        *,
        slot_s: float = 0.25,
        loop: Loop = "closed",
        clock: Callable[[], float] | None = None,
        closed: Closed | None = None,
    ) -> None:
        self.slot_s = slot_s
        self.loop: Loop = loop
        self._clock = steady_wall_clock() if clock is None else clock
        self._closed = closed
        self._slot = -1
        self._open: dict[tuple[str, str, str], Cell] = {}
        self._cells: dict[tuple[int, Key], Cell] = {}
        self._lag: dict[int, Histogram] = {}
        self._late = 0
        self._skipped = 0
        self._counts: dict[Count, int] = {}
        self._alive: dict[str, set[int]] = {}
        self._visits: dict[str, Cell] = {}

    def record(
        self,
        operation: str,
        role: str | None,
        node: str | None,
        service_s: float,
        *,
        response_s: float | None = None,
        error: str | None = None,
        wait_s: float = 0.0,
        now: float | None = None,
    ) -> None:
        """Count one call that ended just now.

        Args:
            operation: its name in the registry.
            role: `primary` or `replica`, None where no node served it.
            node: the node's name, None where no node served it.
            service_s: seconds the call took.
            response_s: seconds since its scheduled start, under an open loop.
            error: the class of its failure (see `errorclass`), None on success.
            wait_s: the part of it spent waiting for a connection of the pool.
            now: the moment, where the caller has read the clock already.
        """
        if now is None:
            now = self._clock()
        slot = int(now / self.slot_s)
        if slot != self._slot:
            self._close(slot)
        key = (operation, role or NO_NODE, node or NO_NODE)
        cell = self._open.get(key)
        if cell is None:
            cell = self._open[key] = Cell()
        if wait_s:
            cell.wait.record(int(wait_s * 1e9))
        cell.record(service_s, response_s, error)
        if role and error is None:
            ticks = self._alive.get(role)
            if ticks is None:
                ticks = self._alive[role] = set()
            ticks.add(int(now / TICK_S))

    def visited(
        self, name: str, service_s: float, response_s: float | None, error: str | None
    ) -> None:
        """Count a task of several operations that ended just now.

        Args:
            name: of the task.
            service_s: seconds from its beginning.
            response_s: seconds since its scheduled start, under an open loop.
            error: the class of the error that ended it, None on success.
        """
        cell = self._visits.get(name)
        if cell is None:
            cell = self._visits[name] = Cell()
        cell.record(service_s, response_s, error)

    def _close(self, slot: int) -> None:
        """Put the cells of the slot that was open away, and open another."""
        for name, cell in self._open.items():
            key = Key(*name)
            if self._closed is not None:
                self._closed(self._slot * self.slot_s, key, cell)
            self._cells.setdefault((self._slot, key), Cell()).add(cell)
        self._open, self._slot = {}, slot

    def close(self) -> None:
        """Tell of what is recorded up to now, though its slot may not be over."""
        self._close(-1)

    def close_if_over(self) -> None:
        """Tell of the last slot when it is over and no call came after it."""
        if self._open and int(self._clock() / self.slot_s) != self._slot:
            self._close(-1)

    def count(
        self,
        what: str,
        node: str = NO_NODE,
        *,
        at_s: float | None = None,
        times: int = 1,
    ) -> None:
        """Count something that happened beside the calls, now or at a moment."""
        moment = self._clock() if at_s is None else at_s
        key = Count(int(moment / self.slot_s), what, node)
        self._counts[key] = self._counts.get(key, 0) + times

    def arrival(self, lag_s: float, *, late: bool) -> None:
        """Count one arrival of an open loop: the generator's lag, or that it was late.

        One that found nobody free waited for no timer, and has no lag of its own.
        """
        if late:
            self._late += 1
        else:
            self.lagged(lag_s)

    def lagged(self, lag_s: float) -> None:
        """Count by how much a timer of the generator was late."""
        slot = int(self._clock() / self.slot_s)
        self._lag.setdefault(slot, Histogram()).record(int(lag_s * 1e9))

    def skip(self, count: int = 1) -> None:
        """Count arrivals that were given up because nobody was free for them."""
        self._skipped += count

    def drain(self) -> Recording:
        """Hand over what was recorded since the last time and begin anew."""
        self.close()
        part = Recording(
            self.slot_s,
            self.loop,
            self._cells,
            self._lag,
            self._late,
            self._skipped,
            self._counts,
            {role: frozenset(ticks) for role, ticks in self._alive.items()},
            self._visits,
        )
        self._cells, self._lag, self._counts, self._alive = {}, {}, {}, {}
        self._visits = {}
        self._late = self._skipped = 0
        return part


def steady_wall_clock() -> Callable[[], float]:
    """Return a clock of wall-clock seconds that never steps back."""
    offset = time.time() - time.perf_counter()
    return lambda: time.perf_counter() + offset
