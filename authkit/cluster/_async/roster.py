"""The nodes, what is known of them, and the routes made from it.

What callers share is replaced whole: the picture, the writer, the replicas. They read
it without a lock; only the watchers, who change it, take one.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import psycopg

from authkit.cluster._async.causal import contained
from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.node import AsyncNode
from authkit.cluster._async.pool import AsyncNodePool
from authkit.cluster._async.watch import AsyncWatch
from authkit.cluster._primitives.aio import Lock, Signal
from authkit.cluster.cadence import Cadence
from authkit.cluster.changes import changes
from authkit.cluster.classify import Action, Blame, Fault, Phase
from authkit.cluster.consistency import Token
from authkit.cluster.epochs import Epoch, EpochFile
from authkit.cluster.events import EpochNotKept, Event, Events, Suspected
from authkit.cluster.faults import understand
from authkit.cluster.sizes import Limits
from authkit.cluster.status import ClusterStatus, NodeStatus
from authkit.cluster.target import Target
from authkit.cluster.timelines import Timelines
from authkit.cluster.topology import Topology, Verdict, lose, observe
from authkit.cluster.views import Health, Loss, Observation
from authkit.errors import ConfigError


class AsyncRoster:
    """Every candidate node of one cluster."""

    def __init__(
        self,
        targets: Sequence[Target],
        limits: Limits,
        cadence: Cadence,
        events: Events,
        epochs: EpochFile | None,
    ) -> None:
        self.changed = Signal()
        self.nodes = {
            t.name: AsyncNode(
                t,
                limits,
                events,
                self.suspect,
                self.changed,
                self.blame,
                self.contained,
            )
            for t in targets
        }
        known = epochs.load() if epochs else Epoch()
        self.picture = Topology.of(
            ((t.name, t.zone) for t in targets),
            epoch=known.timeline,
            system_id=known.system_id,
        )
        self.writer: AsyncNode | None = None
        self.replicas: tuple[AsyncNode, ...] = ()
        self.timelines = Timelines()
        self._epochs = epochs
        self._events = events
        self._cadence = cadence
        self._lock = Lock()
        self._stopped = False
        self._suspicious_until = 0.0
        self._unwritable_since: float | None = None
        self._watches = {
            node.name: AsyncWatch(
                node,
                cadence,
                events,
                self._told,
                self._trouble,
                self._hurry_all,
                self.suspect,
            )
            for node in self.nodes.values()
        }

    def start(self) -> None:
        """Begin to watch every node."""
        self._unwritable_since = monotonic()
        for watch in self._watches.values():
            watch.start()

    async def first_answers(self, limit_s: float | None) -> bool:
        """Wait until every node has answered or failed once.

        Args:
            limit_s: wait so long for one that can be used; None: only for answers.

        Returns:
            Whether there is a node that can be used.
        """
        patience = 2 * self._cadence.first_limit_s if limit_s is None else limit_s
        began = monotonic()
        deadline = began + patience
        while True:
            seen = self.changed.count
            views = self.picture.nodes
            settled = all(view.health is not Health.UNKNOWN for view in views)
            usable = any(view.usable for view in views)
            if settled and (usable or limit_s is None):
                return usable
            if self.picture.verdict is Verdict.WRITABLE:
                # A node that is slow to answer must not delay those that are not.
                deadline = min(deadline, began + self._cadence.limit_s)
            if not await self.changed.wait(seen, deadline - monotonic()):
                return usable

    def status(self, *, closed: bool) -> ClusterStatus:
        """Return the state of every node, its pool and its breaker."""
        picture, now = self.picture, monotonic()
        return ClusterStatus(
            verdict=picture.verdict,
            epoch=picture.epoch,
            system_id=picture.system_id,
            primary=picture.primary.name if picture.primary else None,
            nodes=tuple(
                NodeStatus.of(
                    view,
                    now,
                    breaker=node.breaker.state,
                    pool=node.pool.get_stats() if node.pool else {},
                    in_use=node.in_flight,
                )
                for view, node in zip(picture.nodes, self.nodes.values(), strict=True)
            ),
            closed=closed,
        )

    async def stop(self, deadline: float) -> int:
        """Route nobody any more; end the watchers and the pools.

        Returns:
            How many connections were still in use at the deadline, and were shut.
        """
        async with self._lock:
            self._stopped = True
            self.writer, self.replicas = None, ()
        self.changed.raised()
        patience = self._cadence.first_limit_s + 2 * self._cadence.limit_s
        for watch in self._watches.values():
            await watch.stop(patience)
        cut = 0
        for node in self.nodes.values():
            cut += await node.shut(deadline)
        return cut

    def publish(self, event: Event) -> None:
        """Tell the subscribers."""
        self._events.publish(event)

    def suspect(self, node: AsyncNode, reason: str) -> None:
        """Look closer at every node, now and for a moment."""
        now = monotonic()
        fresh = now >= self._suspicious_until
        self._suspicious_until = now + self._cadence.suspicion_s
        if fresh:
            self._events.publish(Suspected(node=node.name, reason=reason))
        self._hurry_all()

    def blame(self, connection: AsyncNodeConnection, error: psycopg.Error) -> Fault:
        """Understand a driver's error, and draw the conclusions for its node.

        They are drawn once: of one error that several layers see, and of one loss that
        every later use of the connection meets again.
        """
        fault = understand(
            error,
            phase=connection.phase,
            intent=connection.intent,
            broken=connection.closed or connection.severed,
        )
        node = connection.home
        drawn = connection.poisoned or connection.blamed is error
        connection.blamed = error
        forgets = fault.action is Action.DEALLOCATE and fault.phase is Phase.AUTOCOMMIT
        if fault.discard or forgets:  # a rollback forgets what is prepared by itself
            connection.poison()
        if drawn or connection.severed:  # what we shut says nothing of the node
            return fault
        if fault.blame is Blame.FAILURE:
            node.failed(monotonic())
        if fault.blame is not Blame.NOTHING:
            if self.writer is node and fault.discard:
                # Nobody else is sent there before a probe has said what it is.
                self.writer = None
            self.suspect(node, f"{type(error).__name__} ({fault.sqlstate})")
        return fault

    async def contained(self, connection: AsyncNodeConnection, token: Token) -> bool:
        """Make sure that the connection's node holds a commit."""
        return await contained(self, connection, token)

    def _trouble(self) -> float | None:
        now = monotonic()
        if self._unwritable_since is not None:
            return now - self._unwritable_since
        return 0.0 if now < self._suspicious_until else None

    async def _told(self, news: Observation | Loss) -> None:
        """Take in what a watcher saw."""
        async with self._lock:
            buried = await self._took_in(news)
        for node, pool in buried:
            await node.bury(pool)

    async def _took_in(
        self, news: Observation | Loss
    ) -> list[tuple[AsyncNode, AsyncNodePool]]:
        """Change sockets, pools, routes and picture, in this order.

        What must not be written to is shut before anybody is sent elsewhere: from the
        moment a later timeline is known, no statement sets out on an earlier one.
        """
        if self._stopped:
            return []
        before = self.picture
        if isinstance(news, Observation):
            after = observe(before, news)
            self.timelines = self.timelines.saw(news)
        else:
            after = lose(before, news)
        if after is before:
            return []
        if after.epoch > before.epoch:
            self._keep_epoch(after)
        buried = self._shut_out(before, after)
        for view in after.nodes:
            if view.usable:
                await self.nodes[view.name].admit(view)
        self._route(after)
        # Last: who finds a node in the picture finds its pool and its routes as well.
        self.picture = after
        self.changed.raised()
        for event in changes(before, after):
            self._events.publish(event)
        if after.verdict is not before.verdict:
            self._hurry_all()
        return buried

    def _keep_epoch(self, picture: Topology) -> None:
        """Remember a timeline before anybody may act on it."""
        if self._epochs is None:
            return
        try:
            self._epochs.keep(Epoch(picture.system_id, picture.epoch))
        except ConfigError as exc:
            # A full disk must not keep this process from following a failover.
            self._events.publish(EpochNotKept(epoch=picture.epoch, reason=str(exc)))

    def _shut_out(
        self, before: Topology, after: Topology
    ) -> list[tuple[AsyncNode, AsyncNodePool]]:
        """Shut what must not be used any more; returns the pools to bury."""
        if self.writer is not None and self._writable(after) is not self.writer:
            self.writer = None
        buried: list[tuple[AsyncNode, AsyncNodePool]] = []
        for old, new in zip(before.nodes, after.nodes, strict=True):
            node = self.nodes[new.name]
            if not new.usable:
                node.view = new
                pool = node.quarantine(new.reason)
            elif old.started and old.started != new.started:
                # A server that was restarted has none of the connections it had.
                pool = node.quarantine("it was restarted", born_before=old.observed_at)
            else:
                continue
            if pool is not None:
                buried.append((node, pool))
        return buried

    def _route(self, picture: Topology) -> None:
        self.writer = self._writable(picture)
        if self.writer is not None:
            self._unwritable_since = None
        elif self._unwritable_since is None:
            self._unwritable_since = monotonic()
        self.replicas = tuple(self.nodes[view.name] for view in picture.replicas)

    def _writable(self, picture: Topology) -> AsyncNode | None:
        primary = picture.primary
        if picture.verdict is Verdict.WRITABLE and primary is not None:
            return self.nodes[primary.name]
        return None

    def _hurry_all(self) -> None:
        for watch in self._watches.values():
            watch.hurry()
