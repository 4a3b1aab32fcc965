"""What a kit does, as instruments of OpenTelemetry.

Needs `opentelemetry-api` alone; without an SDK every call of its does nothing. The
names follow the semantic conventions for databases where there are some
(`db.client.operation.duration`, in seconds).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from authkit.cluster.status import NodeStatus
from authkit.cluster.views import Health
from authkit.ops.metrics.gathering import BUCKETS, COUNTED, Gathered, Kit


def _up(node: NodeStatus) -> float | None:
    return float(node.health is Health.UP)


def _lag(node: NodeStatus) -> float | None:
    return node.lag_s


def _used(node: NodeStatus) -> float | None:
    return node.in_use


def _limit(node: NodeStatus) -> float | None:
    return node.pool_max


def _waiting(node: NodeStatus) -> float | None:
    return node.waiting


_GAUGES: dict[str, tuple[str, Callable[[NodeStatus], float | None]]] = {
    "authkit.node.up": ("1", _up),
    "authkit.node.lag": ("s", _lag),
    "authkit.pool.used": ("{connection}", _used),
    "authkit.pool.limit": ("{connection}", _limit),
    "authkit.pool.waiting": ("{request}", _waiting),
}


class Instruments(Gathered):
    """The instruments of one kit; `close` stops the counting."""

    def __init__(self, kit: Kit, meter: Meter | None = None) -> None:
        meter = meter or get_meter("authkit")
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Operations of the hot path",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._attributes: dict[tuple[str, str, str], dict[str, str]] = {}
        super().__init__(kit)
        for name in COUNTED.values():
            meter.create_observable_counter(
                f"authkit.{name}", callbacks=[self._counter(name)]
            )
        meter.create_observable_gauge(
            "authkit.writable",
            callbacks=[lambda _: [Observation(int(self.status().writable))]],
        )
        for name, (unit, value) in _GAUGES.items():
            meter.create_observable_gauge(
                name, unit=unit, callbacks=[self._gauge(value)]
            )

    def observe(
        self,
        operation: str,
        node: str,
        role: str,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Record one operation."""
        del node
        key = (operation, role, "" if error is None else type(error).__name__)
        attributes = self._attributes.get(key)
        if attributes is None:
            attributes = {"db.operation.name": operation, "authkit.role": role}
            if key[2]:
                attributes["error.type"] = key[2]
            self._attributes[key] = attributes
        self._duration.record(seconds, attributes)

    def _counter(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(self.events()[name])]

    def _gauge(
        self, value: Callable[[NodeStatus], float | None]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for node in self.status().nodes:
                found = value(node)
                if found is not None:
                    yield Observation(found, {"node": node.name})

        return observe
