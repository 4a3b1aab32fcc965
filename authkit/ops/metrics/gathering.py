"""What happens in a kit, counted where it happens at next to no cost.

An observer is called with every operation, so it takes no lock and asks no library: it
adds to lists that belong to its thread alone. They are summed when somebody looks.
No label comes from a user's data: operations, roles and classes of errors are of the
code, nodes are of the settings.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
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
        self._local = threading.local()
        self._shards: list[dict[Labels, list[float]]] = []
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
        labels = (operation, role, "ok" if error is None else type(error).__name__)
        try:
            counts: list[float] = self._local.shard[labels]
        except (AttributeError, KeyError):
            counts = self._begun(labels)
        counts[bisect_left(BUCKETS, seconds)] += 1
        counts[_SUM] += seconds

    def _begun(self, labels: Labels) -> list[float]:
        """Return zeros for what this thread has not counted before."""
        counts = [0.0] * (_SUM + 1)
        # The dictionary is read by others meanwhile.
        with self._lock:
            shard: dict[Labels, list[float]] | None
            shard = getattr(self._local, "shard", None)
            if shard is None:
                shard = self._local.shard = {}
                self._shards.append(shard)
            shard[labels] = counts
        return counts

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
        """Sum up every thread's counts."""
        sums: dict[Labels, list[float]] = {}
        with self._lock:
            for shard in self._shards:
                for labels, counts in shard.items():
                    sums[labels] = [
                        a + b
                        for a, b in zip(
                            sums.get(labels, [0.0] * (_SUM + 1)), counts, strict=True
                        )
                    ]
        return {
            labels: Histogram(tuple(int(n) for n in counts[:_SUM]), counts[_SUM])
            for labels, counts in sums.items()
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
