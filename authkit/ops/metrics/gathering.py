"""What happens in a kit, counted where it happens at next to no cost.

An observer is called with every operation, so it waits for no lock and asks no library:
it notes the call, and every so many notes are counted together. Code that comes after a
round trip finds cold caches: a few notes counted in a row cost less than each alone.
No label comes from a user's data: operations, roles and classes of errors are of the
code, nodes are of the settings.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from authkit.cluster.events import (
    BudgetSpent,
    Doubted,
    EpochRaised,
    Event,
    Events,
    Probed,
    Quarantined,
    Retried,
)
from authkit.cluster.status import ClusterStatus

# Seconds. A lookup takes a tenth of a millisecond, a failover some seconds.
BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_SUM = len(BUCKETS) + 1
_AT_ONCE = 32
"""Calls that are counted together; that takes about ten microseconds."""

Labels = tuple[str, str, str]
"""Operation, the role of the node that served it, and how it ended."""

COUNTED: Mapping[type[Event], str] = {
    Retried: "retries",
    BudgetSpent: "budget_spent",
    Doubted: "doubts",
    EpochRaised: "failovers",
    Quarantined: "quarantines",
}


class Watched(Protocol):
    """The cluster of a kit, as far as it is watched."""

    events: Events

    def status(self) -> ClusterStatus:
        """Return the picture of now."""
        ...


class Kit(Protocol):
    """A kit of either colour, as far as it is watched."""

    @property
    def cluster(self) -> Watched:
        """Its cluster."""
        ...

    def observe(
        self,
        observer: Callable[[str, str, str, float, BaseException | None], None],
    ) -> Callable[[], None]:
        """Tell a function of every operation."""
        ...


@dataclass(frozen=True, slots=True)
class Histogram:
    """Calls of one kind: how many took at most so long, all of them, and their sum."""

    counts: tuple[int, ...]
    total_s: float

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)


class Gathered:
    """Counts what a kit does, from now until `close`."""

    def __init__(self, kit: Kit) -> None:
        # Adding to a deque and taking from it need no lock.
        self._waiting: deque[tuple[str, str, type[BaseException] | None, float]]
        self._waiting = deque()
        self._kinds: dict[Labels, list[float]] = {}
        self._lock = threading.Lock()
        self._events: dict[str, int] = dict.fromkeys(COUNTED.values(), 0)
        self._failed_probes: dict[str, int] = {}
        self._cluster = kit.cluster
        self._stops = (
            kit.observe(self.observe),
            kit.cluster.events.subscribe(self._happened),
        )

    def close(self) -> None:
        """Stop counting."""
        for stop in self._stops:
            stop()

    def observe(
        self,
        operation: str,
        node: str,
        role: str,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Count one operation."""
        del node
        waiting = self._waiting
        waiting.append(
            (operation, role, None if error is None else type(error), seconds)
        )
        # Whoever counts now counts these as well: nobody waits.
        if len(waiting) >= _AT_ONCE and self._lock.acquire(blocking=False):
            try:
                self._count()
            finally:
                self._lock.release()

    def _count(self) -> None:
        """Count what waits, with the lock held."""
        waiting, kinds = self._waiting, self._kinds
        for _ in range(len(waiting)):
            operation, role, error, seconds = waiting.popleft()
            kind = (operation, role, "ok" if error is None else error.__name__)
            counts = kinds.get(kind)
            if counts is None:
                counts = kinds[kind] = [0.0] * (_SUM + 1)
            counts[bisect_left(BUCKETS, seconds)] += 1
            counts[_SUM] += seconds

    def _happened(self, event: Event) -> None:
        if isinstance(event, Probed):
            if event.reason is not None:
                with self._lock:
                    failed = self._failed_probes.get(event.node, 0)
                    self._failed_probes[event.node] = failed + 1
            return
        if isinstance(event, EpochRaised) and event.before == 0:
            return  # the first timeline that was seen is no failover
        name = COUNTED.get(type(event))
        if name is not None:
            with self._lock:
                self._events[name] += 1

    def operations(self) -> dict[Labels, Histogram]:
        """Return what was counted until now."""
        with self._lock:
            self._count()
            return {
                kind: Histogram(tuple(int(n) for n in counts[:_SUM]), counts[_SUM])
                for kind, counts in self._kinds.items()
            }

    def events(self) -> dict[str, int]:
        """Return how often each kind of event happened."""
        with self._lock:
            return dict(self._events)

    def failed_probes(self) -> dict[str, int]:
        """Return how often each node did not answer a probe."""
        with self._lock:
            return dict(self._failed_probes)

    def status(self) -> ClusterStatus:
        """Return the cluster as it is now."""
        return self._cluster.status()
