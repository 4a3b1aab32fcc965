"""The life of a cluster: opening, what is known of it, closing."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import Self

from authkit.cluster._async.dispatch import AsyncDispatch
from authkit.cluster._async.engines import AsyncEngines
from authkit.cluster._async.roster import AsyncRoster
from authkit.cluster._async.transactions import AsyncTransactions
from authkit.cluster.cadence import Cadence, Seconds, seconds
from authkit.cluster.credentials import Password, password_of
from authkit.cluster.epochs import epoch_file
from authkit.cluster.events import Drained, Events, Opened
from authkit.cluster.sizes import Limits
from authkit.cluster.status import ClusterStatus
from authkit.cluster.target import targets
from authkit.cluster.topology import Topology
from authkit.errors import Unavailable
from authkit.settings import Settings


class AsyncLife:
    """What a cluster does between `open` and `close`, beside its work.

    Nothing happens before `open`. The URLs of the settings are candidates; which of
    them is the primary is discovered, and discovered again.

    Args:
        settings: the URLs, the pools' sizes and the times.
        zones: the zone of a node by its name (`host:port`), for `prefer`.
        cadence: how often and how patiently nodes are asked.
        password: asked for each new connection, with who connects where; may wait,
            and be called from any thread. The settings' command, unless given.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        zones: Mapping[str, str] | None = None,
        cadence: Cadence | None = None,
        password: Password | None = None,
    ) -> None:
        self.events = Events()
        self._limits = Limits.of(settings)
        self._cadence = cadence or Cadence()
        self._roster = AsyncRoster(
            targets(
                (url.get_secret_value() for url in settings.urls),
                zones=zones,
                password=password or password_of(settings),
            ),
            self._limits,
            self._cadence,
            self.events,
            epoch_file(settings),
        )
        self._dispatch = AsyncDispatch(self._roster)
        self._engines = AsyncEngines(
            self._roster, self._dispatch.check, self._limits.acquire_s
        )
        self._transactions = AsyncTransactions(
            self._roster, self._dispatch, self._limits.policy
        )

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
        if dispatch.state == "closed":
            dispatch.check()
        dispatch.open()
        self.events.publish(Opened(nodes=tuple(self._roster.nodes)))
        self._roster.start()
        try:
            usable = await self._roster.first_answers(
                None if wait is None else seconds(wait)
            )
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
        try:
            await self._engines.dispose()
            cut = await self._roster.stop(began + seconds(timeout))
        except BaseException:  # whoever closes was ended: nobody waits any longer
            await self._roster.stop(monotonic())
            raise
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

    @property
    def topology(self) -> Topology:
        """The picture of the nodes as they were last seen."""
        return self._roster.picture

    def status(self) -> ClusterStatus:
        """Return the state of every node, its pool and its breaker."""
        return self._roster.status(closed=self._dispatch.state == "closed")

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
        await self._dispatch.wait_for(primary, replicas, seconds(timeout))
        return self.status()
