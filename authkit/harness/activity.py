"""What the servers' connections waited for during a run, and their checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from psycopg import Connection

ON_CPU: Final = "on the processor"
OTHER_WAITS: Final = "other waits"
_SHOWN: Final = 5
_WAITS: Final = """
SELECT coalesce(wait_event_type || ': ' || wait_event, 'on the processor'),
       count(*)::int8
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
  AND state = 'active' AND pid <> pg_backend_pid()
GROUP BY 1
"""
_CHECKPOINTS: Final = """
SELECT num_timed + num_requested, write_time, sync_time FROM pg_stat_checkpointer
"""
# Until version 16 the counters stood elsewhere.
_CHECKPOINTS_16: Final = """
SELECT checkpoints_timed + checkpoints_req, checkpoint_write_time, checkpoint_sync_time
FROM pg_stat_bgwriter
"""
_SPLIT_IN: Final = 170_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many active connections of a node waited for one thing at a moment."""

    at_s: float
    node: str
    event: str
    connections: int


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A node's checkpoints during a run, and what they took in milliseconds."""

    node: str
    count: int
    write_ms: float
    sync_ms: float


def waits(connection: Connection[Any], node: str, at_s: float) -> list[Waiting]:
    """Ask a node what its active connections wait for right now."""
    rows = connection.execute(_WAITS).fetchall() or [(ON_CPU, 0)]
    return [Waiting(at_s, node, str(event), int(count)) for event, count in rows]


def checkpoints(connection: Connection[Any]) -> tuple[float, float, float]:
    """Ask a node for its checkpoints so far: how many, writing ms, syncing ms."""
    old = connection.info.server_version < _SPLIT_IN
    (row,) = connection.execute(_CHECKPOINTS_16 if old else _CHECKPOINTS).fetchall()
    return (float(row[0]), float(row[1]), float(row[2]))


def over_time(
    samples: Sequence[Waiting], start_s: float, end_s: float, bin_s: float
) -> list[dict[str, Any]]:
    """Return rows for a chart: mean connections by what they waited for, of all nodes.

    The five most frequent events have a row of their own, the rest stands together.
    """
    within = [sample for sample in samples if start_s <= sample.at_s <= end_s]
    totals = Counter[str]()
    for sample in within:
        totals[sample.event] += sample.connections
    shown = {event for event, _ in totals.most_common(_SHOWN)}
    asked: dict[tuple[int, str], set[float]] = {}
    for sample in within:
        at = int((sample.at_s - start_s) / bin_s)
        asked.setdefault((at, sample.node), set()).add(sample.at_s)
    bins: dict[tuple[int, str], float] = {}
    for sample in within:
        at = int((sample.at_s - start_s) / bin_s)
        event = sample.event if sample.event in shown else OTHER_WAITS
        # Each node is asked several times within a bin, and not at all while it is
        # down: the mean of its own answers, and of the nodes the sum.
        mean = sample.connections / len(asked[at, sample.node])
        bins[at, event] = bins.get((at, event), 0.0) + mean
    return [
        {
            "t": round(at * bin_s, 3),
            "t2": round((at + 1) * bin_s, 3),
            "event": event,
            "per_s": round(connections, 3),
        }
        for (at, event), connections in sorted(bins.items())
    ]
