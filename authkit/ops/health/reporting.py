"""Health in the shape of every report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from authkit.figures import Figure, Report, figure
from authkit.ops.findings import faults
from authkit.ops.health.values import Health

_GOAL_MS = 300.0


def report(health: Health) -> Report:
    """Return the figures, with the findings and nodes beside them."""
    return Report(
        "health",
        health.at,
        health.seconds,
        tuple(_figures(health)),
        postgres=health.postgres,
        extra={
            "condition": health.condition.value,
            "liveness": health.liveness.body,
            "readiness": health.readiness.body,
            "nodes": [
                {
                    "where": a.where,
                    "role": a.role,
                    "timeline": a.timeline,
                    "behind_bytes": a.behind_bytes,
                    "connections": a.connections,
                    "round_trip_ms": round(1000 * a.round_trip_s, 3),
                }
                for a in health.answers
            ],
            "findings": [finding.as_dict() for finding in health.findings],
        },
    )


def repeated(found: Sequence[Health]) -> Report:
    """Return what asking took, over and over; each round connects anew."""
    times = [1000 * health.seconds for health in found]
    trips = [a.round_trips for health in found for a in health.answers]
    lost = sum(len(health.unreachable) for health in found)
    return Report(
        "health",
        found[0].at,
        sum(health.seconds for health in found),
        (
            figure("health_p50_ms", round(median(times), 1), "ms"),
            figure("health_max_ms", round(max(times), 1), "ms",
                   goal=("<=", _GOAL_MS)),
            figure("round_trips_per_node_max", max(trips, default=None),
                   goal=("<=", 1)),
            figure("nodes_silent", lost, goal=("==", 0)),
            figure("faults", sum(faults(health.findings) for health in found),
                   goal=("==", 0)),
        ),
        postgres=found[0].postgres,
        extra={"rounds": len(found), "nodes": len(trips) // len(found)},
    )  # fmt: skip


def _figures(health: Health) -> Iterable[Figure]:
    nodes = len(health.answers) + len(health.unreachable)
    yield figure("health_ms", round(1000 * health.seconds, 1), "ms",
                 goal=("<=", _GOAL_MS))  # fmt: skip
    if health.answers:
        trips = max(answer.round_trips for answer in health.answers)
        yield figure("round_trips_per_node", trips, goal=("<=", 1))
    yield figure("nodes_answering", len(health.answers), goal=("==", nodes))
    yield figure("faults", faults(health.findings), goal=("==", 0))
    primary = next((a for a in health.answers if not a.replica), None)
    if primary is not None:
        for answer in health.answers:
            if answer.replica:
                lag = max(0, primary.lsn_bytes - answer.lsn_bytes)
                yield figure("lag_bytes", lag, "bytes")
