"""The cluster's state as a value, for people, notebooks and health checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from math import isinf
from typing import Self

from authkit.cluster.breaker import BreakerState
from authkit.cluster.topology import Verdict
from authkit.cluster.views import Health, NodeView, Role


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node. `lag_s` is an upper bound of its staleness, None where unknown."""

    name: str
    zone: str | None
    role: Role
    health: Health
    timeline: int
    lag_s: float | None
    lag_bytes: int | None
    round_trip_ms: float | None
    version: int
    reason: str
    breaker: BreakerState
    pool_size: int
    pool_max: int
    in_use: int
    waiting: int

    @classmethod
    def of(
        cls,
        view: NodeView,
        now: float,
        *,
        breaker: BreakerState,
        pool: Mapping[str, int],
        in_use: int,
    ) -> Self:
        """Join what is known of a node with what its pool counts.

        Args:
            view: the node as it was last seen.
            now: seconds of the monotonic clock; a lag grows until the next probe, and
                one that is not known is None and never 0.
            breaker: how its breaker stands.
            pool: the counts of psycopg_pool's `get_stats()`; what is missing counts 0.
            in_use: connections that callers hold.
        """
        lag = view.staleness(now)
        return cls(
            name=view.name,
            zone=view.zone,
            role=view.role,
            health=view.health,
            timeline=view.timeline,
            lag_s=None if isinf(lag) else lag,
            lag_bytes=view.lag_bytes,
            round_trip_ms=(
                None if view.round_trip_s is None else 1000 * view.round_trip_s
            ),
            version=view.version,
            reason=view.reason,
            breaker=breaker,
            pool_size=pool.get("pool_size", 0),
            pool_max=pool.get("pool_max", 0),
            in_use=in_use,
            waiting=pool.get("requests_waiting", 0),
        )


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The whole picture at one moment."""

    verdict: Verdict
    epoch: int
    system_id: str
    primary: str | None
    nodes: tuple[NodeStatus, ...]
    closed: bool

    @property
    def writable(self) -> bool:
        """Whether a write would find a primary now."""
        return self.verdict is Verdict.WRITABLE and not self.closed

    def __str__(self) -> str:
        lines = [f"{self.verdict.value}, timeline {self.epoch}"]
        lines += ["  " + "  ".join(cells) for cells in self._rows()]
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                node.name,
                node.role.value,
                node.health.value if not node.reason else node.reason,
                f"timeline {node.timeline}" if node.timeline else "",
                "" if node.lag_s is None else f"at most {node.lag_s:.1f} s behind",
                f"{node.in_use} of {node.pool_max} in use" if node.pool_max else "",
                "" if node.breaker is BreakerState.CLOSED else node.breaker.value,
            )
            for node in self.nodes
        ]

    def _repr_html_(self) -> str:
        """Render a table where a notebook shows the value."""
        head = ("node", "role", "health", "timeline", "lag", "connections", "breaker")
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        titles = "".join(f"<th>{title}</th>" for title in head)
        return (
            f"<p>{escape(self.verdict.value)}, timeline {self.epoch}</p>"
            f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"
        )
