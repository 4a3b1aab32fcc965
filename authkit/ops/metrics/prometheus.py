"""What was gathered, as metrics of Prometheus.

`Collector(kit)` registers nothing by itself: hand it to a registry of yours, beside
your own metrics, or serve it with `authkit.ops.metrics.serving`.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector as Collects

from authkit.cluster.breaker import BreakerState
from authkit.cluster.status import ClusterStatus, NodeStatus
from authkit.cluster.views import Health, Role
from authkit.ops.metrics.gathering import BUCKETS, COUNTED, Gathered, Kit

_EVENTS = {
    "retries": "Transactions that ran again",
    "budget_spent": "Transactions that were not repeated: too many already were",
    "doubts": "Writes whose outcome was not known",
    "failovers": "Later timelines that were seen",
    "quarantines": "Nodes that were given up",
}


class Collector(Collects):
    """The metrics of one kit; `close` stops the counting."""

    def __init__(self, kit: Kit) -> None:
        self.gathered = Gathered(kit)

    def close(self) -> None:
        """Stop counting."""
        self.gathered.close()

    def collect(self) -> Iterable[Metric]:
        """Return every metric as it stands now."""
        yield from self._operations()
        for name in COUNTED.values():
            yield CounterMetricFamily(
                f"authkit_{name}", _EVENTS[name], value=self.gathered.events()[name]
            )
        failed = CounterMetricFamily(
            "authkit_probes_failed", "Probes a node did not answer", labels=["node"]
        )
        for node, count in self.gathered.failed_probes().items():
            failed.add_metric([node], count)
        yield failed
        yield from _cluster(self.gathered.status())

    def _operations(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(
            "authkit_operation_seconds",
            "Operations of the hot path, waiting for a connection included",
            labels=["operation", "role", "outcome"],
        )
        for labels, histogram in self.gathered.operations().items():
            below = 0
            buckets: list[tuple[str, float]] = []
            bounds = (*map(repr, BUCKETS), "+Inf")
            for bound, count in zip(bounds, histogram.counts, strict=True):
                below += count
                buckets.append((bound, below))
            family.add_metric(list(labels), buckets, histogram.total_s)
        yield family


def _cluster(status: ClusterStatus) -> Iterable[Metric]:
    yield GaugeMetricFamily(
        "authkit_writable",
        "Whether a write would find a primary",
        value=float(status.writable),
    )
    yield GaugeMetricFamily(
        "authkit_epoch", "The highest timeline that was seen", value=status.epoch
    )
    for name, text, value in (
        ("node_up", "Whether a node may be used", _up),
        ("node_primary", "Whether a node said that it is the primary", _primary),
        ("node_breaker_open", "Whether a node's breaker is not closed", _breaker),
        ("node_lag_seconds", "How stale a node is at the most", _lag_s),
        ("node_lag_bytes", "How much a node has yet to replay", _lag_bytes),
        ("node_probe_seconds", "Round trip of the last probe", _probe_s),
        ("pool_connections", "Connections of a pool", _size),
        ("pool_connections_used", "Connections that somebody uses", _used),
        ("pool_connections_limit", "Connections of a pool at the most", _limit),
        ("pool_waiting", "Callers that wait for a connection", _waiting),
    ):
        family = GaugeMetricFamily(f"authkit_{name}", text, labels=["node"])
        for node in status.nodes:
            found = value(node)
            if found is not None:
                family.add_metric([node.name], found)
        yield family


def _up(node: NodeStatus) -> float:
    return float(node.health is Health.UP)


def _primary(node: NodeStatus) -> float:
    return float(node.role is Role.PRIMARY)


def _breaker(node: NodeStatus) -> float:
    return float(node.breaker is not BreakerState.CLOSED)


def _lag_s(node: NodeStatus) -> float | None:
    return node.lag_s


def _lag_bytes(node: NodeStatus) -> float | None:
    return node.lag_bytes


def _probe_s(node: NodeStatus) -> float | None:
    return None if node.round_trip_ms is None else node.round_trip_ms / 1000


def _size(node: NodeStatus) -> float:
    return node.pool_size


def _used(node: NodeStatus) -> float:
    return node.in_use


def _limit(node: NodeStatus) -> float:
    return node.pool_max


def _waiting(node: NodeStatus) -> float:
    return node.waiting
