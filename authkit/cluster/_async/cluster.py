"""The pool manager's face: open, connections, status, close."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Self

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.dispatch import AsyncDispatch
from authkit.cluster._async.engines import AsyncEngines
from authkit.cluster._async.lease import AsyncLease
from authkit.cluster._async.roster import AsyncRoster
from authkit.cluster._primitives.aio import Engine
from authkit.cluster.cadence import Cadence
from authkit.cluster.classify import Intent
from authkit.cluster.consistency import Token
from authkit.cluster.events import Drained, Events, Opened
from authkit.cluster.routing import DEFAULT_MAX_LAG_S
from authkit.cluster.sizes import Limits
from authkit.cluster.status import ClusterStatus, NodeStatus
from authkit.cluster.target import targets
from authkit.cluster.topology import Health, Topology, Verdict
from authkit.errors import Unavailable
from authkit.settings import Settings

Seconds = timedelta | float


class AsyncCluster:
    """Connections to whichever node may serve: writes to the primary, reads nearby.

    Nothing happens before `open`. The URLs of the settings are candidates; which of
    them is the primary is discovered, and discovered again.

    Args:
        settings: the URLs, the pools' sizes and the times.
        zones: the zone of a node by its name (`host:port`), for `prefer`.
        cadence: how often and how patiently nodes are asked.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        zones: Mapping[str, str] | None = None,
        cadence: Cadence | None = None,
    ) -> None:
        self.events = Events()
        self._limits = Limits.of(settings)
        self._cadence = cadence or Cadence()
        self._roster = AsyncRoster(
            targets((url.get_secret_value() for url in settings.urls), zones=zones),
            self._limits,
            self._cadence,
            self.events,
        )
        self._dispatch = AsyncDispatch(self._roster)
        self._engines = AsyncEngines(self._roster, self._limits.acquire_s)

    async def open(self, wait: Seconds | None = None) -> Self:
        """Ask every node, and give a pool to those that may serve.

        Args:
            wait: how long to wait for a node that can be used; None asks each once.

        Raises:
            Unavailable: no node can be used; the message gives each node's reason.
            Closed: it was closed before.
        """
        dispatch = self._dispatch
        if dispatch.state == "open":
            dispatch.check()
            return self
        if dispatch.state == "closed" or dispatch.foreign:
            dispatch.check()
        dispatch.state = "open"
        self.events.publish(Opened(nodes=tuple(self._roster.nodes)))
        self._roster.start()
        try:
            usable = await self._first_answers(wait)
        except BaseException:
            await self.close(timeout=0)
            raise
        if not usable:
            reasons = "; ".join(
                f"{node.name}: {node.reason}" for node in self._roster.picture.nodes
            )
            await self.close(timeout=0)
            raise Unavailable(f"no node can be used: {reasons}")
        return self

    async def _first_answers(self, wait: Seconds | None) -> bool:
        roster = self._roster
        limit = self._cadence.first_limit_s * 2 if wait is None else _seconds(wait)
        began = monotonic()
        deadline = began + limit
        while True:
            seen = roster.changed.count
            picture = roster.picture
            settled = all(node.health is not Health.UNKNOWN for node in picture.nodes)
            usable = any(node.usable for node in picture.nodes)
            if settled and (usable or wait is None):
                return usable
            if picture.verdict is Verdict.WRITABLE:
                # A node that is slow to answer must not delay those that are not.
                deadline = min(deadline, began + self._cadence.limit_s)
            if not await roster.changed.wait(seen, deadline - monotonic()):
                return usable

    async def close(
        self,
        timeout: Seconds = 5.0,  # noqa: ASYNC109 # the house's word for a bounded wait
    ) -> None:
        """Admit nobody, wait for connections in use, then shut them. Idempotent.

        In a process that a fork made it only forgets: the sockets are the parent's.
        """
        dispatch = self._dispatch
        was, dispatch.state = dispatch.state, "closed"
        if was != "open" or dispatch.foreign:
            return
        began = monotonic()
        await self._engines.dispose()
        cut = await self._roster.stop(began + _seconds(timeout))
        self.events.publish(Drained(seconds=monotonic() - began, cut=cut))

    async def __aenter__(self) -> Self:
        """Open."""
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    def writer(self, timeout: Seconds | None = None) -> AsyncLease:
        """Return a block on a connection to the primary, in autocommit.

        Args:
            timeout: how long to wait for a primary and a free connection.
        """
        return AsyncLease(
            self._dispatch, self._roster, Intent.WRITE, self._patience(timeout)
        )

    def reader(
        self,
        max_lag: Seconds | None = None,
        after: Token | None = None,
        *,
        stale_ok: bool = False,
        prefer: str | None = None,
        timeout: Seconds | None = None,
    ) -> AsyncLease:
        """Return a block on a connection to a replica, or else to the primary.

        Args:
            max_lag: the most that its data may lag behind; 10 s unless said. The bound
                holds the age of the last probe, half a second at most: a tighter one
                is served by the primary most of the time. Zero asks for the primary.
            after: a commit that must be visible.
            stale_ok: whether a replica of unknown lag may serve while there is no
                primary.
            prefer: the zone or the node to take where there is a choice.
            timeout: how long to wait for a node and a free connection.
        """
        return AsyncLease(
            self._dispatch,
            self._roster,
            Intent.READ,
            self._patience(timeout),
            max_lag_s=DEFAULT_MAX_LAG_S if max_lag is None else _seconds(max_lag),
            after=after,
            stale_ok=stale_ok,
            prefer=prefer,
        )

    def engine(self, node: str) -> Engine:
        """Return the SQLAlchemy engine that draws from this node's pool.

        Raises:
            NotFound: no node has this name.
        """
        return self._engines.of(node)

    async def writer_engine(
        self,
        timeout: Seconds | None = None,  # noqa: ASYNC109 # the house's word for a bounded wait
    ) -> Engine:
        """Return the engine of the primary, for a unit of work that begins now.

        A transaction never changes node: pick one, then begin.

        Raises:
            NoPrimary: there is none, and none came in time.
            SplitBrain: two nodes claim to be it.
        """
        node = await self._dispatch.pick_writer(self._patience(timeout))
        return self._engines.of(node.name)

    async def reader_engine(
        self,
        max_lag: Seconds | None = None,
        after: Token | None = None,
        *,
        stale_ok: bool = False,
        prefer: str | None = None,
        timeout: Seconds | None = None,  # noqa: ASYNC109 # the house's word for a bounded wait
    ) -> Engine:
        """Return the engine of a node that may serve this read; see `reader`.

        Raises:
            NoReplica: nothing fresh enough, and no primary, came in time.
        """
        node = await self._dispatch.pick_reader(
            self._patience(timeout),
            max_lag_s=DEFAULT_MAX_LAG_S if max_lag is None else _seconds(max_lag),
            after=after,
            stale_ok=stale_ok,
            prefer=prefer,
        )
        return self._engines.of(node.name)

    async def token(self, connection: AsyncNodeConnection) -> Token:
        """Return a token for everything committed so far; costs a round trip.

        Raises:
            NotPermitted: the connection is not a primary's.
        """
        return await connection.token()

    @property
    def topology(self) -> Topology:
        """The picture of the nodes as they were last seen."""
        return self._roster.picture

    def status(self) -> ClusterStatus:
        """Return the state of every node, its pool and its breaker."""
        picture, now = self._roster.picture, monotonic()
        return ClusterStatus(
            verdict=picture.verdict,
            epoch=picture.epoch,
            system_id=picture.system_id,
            primary=picture.primary.name if picture.primary else None,
            nodes=tuple(
                NodeStatus.of(
                    node.view,
                    now,
                    breaker=node.breaker.state,
                    pool=node.pool.get_stats() if node.pool else {},
                    in_use=node.in_flight,
                )
                for node in self._roster.nodes.values()
            ),
            closed=self._dispatch.state == "closed",
        )

    async def wait_for(
        self,
        *,
        primary: str | None = None,
        replicas: int = 0,
        timeout: Seconds = 30.0,  # noqa: ASYNC109 # the house's word for a bounded wait
    ) -> ClusterStatus:
        """Wait until there is a primary (this one, if named) and so many replicas.

        Raises:
            DeadlineExceeded: the picture did not become that in time.
        """
        await self._dispatch.wait_for(primary, replicas, _seconds(timeout))
        return self.status()

    def _patience(self, timeout: Seconds | None) -> float:
        return self._limits.acquire_s if timeout is None else _seconds(timeout)


def _seconds(value: Seconds) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)
