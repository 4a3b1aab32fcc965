"""Takes a connection of the right node, within a bound, or says why there is none."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic

import psycopg

from authkit.cluster._async.causal import contained, known
from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.node import AsyncNode
from authkit.cluster._async.roster import AsyncRoster
from authkit.cluster._primitives.forks import generation
from authkit.cluster.breaker import CLOSED
from authkit.cluster.chance import below
from authkit.cluster.classify import Intent
from authkit.cluster.consistency import Token
from authkit.cluster.routing import choose, prefer_zone
from authkit.cluster.topology import Verdict
from authkit.cluster.views import Role
from authkit.errors import (
    Closed,
    DeadlineExceeded,
    NoPrimary,
    NoReplica,
    Saturated,
    SplitBrain,
    Unavailable,
)

# How long a replica may take to say how far it is: as long as to answer a probe.
ANSWER_S = 0.25


class AsyncDispatch:
    """Routes and waits."""

    def __init__(self, roster: AsyncRoster) -> None:
        self._roster = roster
        self._generation = generation.number
        self.state = "not open yet"

    def check(self) -> None:
        """Refuse a cluster that is closed, or that a fork brought here.

        Raises:
            Closed: it must not be used.
        """
        if self._generation != generation.number:
            raise Closed(
                "the cluster was opened in another process: open one after the fork"
            )
        if self.state != "open":
            raise Closed(f"the cluster is {self.state}")

    def open(self) -> None:
        """Let callers in, in this process: it may be a fork of the one that made it."""
        self._generation = generation.number
        self.state = "open"

    @property
    def foreign(self) -> bool:
        """Whether a fork brought it into this process."""
        return self._generation != generation.number

    def at_once(self, intent: Intent) -> AsyncNodeConnection | None:
        """Take a connection to the primary that was in use a moment ago; never waits.

        None where more than that is needed: `take_writer` and `take_reader` know what.
        """
        node = self._roster.writer
        if (
            node is None
            or self._generation != generation.number
            or node.breaker.state is not CLOSED
        ):
            return None
        return node.at_once(intent)

    async def take_writer(self, limit_s: float) -> AsyncNodeConnection:
        """Take a connection to the primary; whoever takes it must close it.

        Raises:
            NoPrimary: there is none, and none came in time.
            SplitBrain: two nodes claim to be it.
            Saturated: no connection became free in time.
            Closed: the cluster is closed, or of another process.
        """
        roster = self._roster
        deadline: float | None = None
        while True:
            seen = roster.changed.count
            node = roster.writer
            if (
                node is not None
                and self._generation == generation.number
                and node.passes()
            ):
                left = limit_s if deadline is None else deadline - monotonic()
                if left <= 0:
                    raise self._no_writer()
                try:
                    return await node.acquire(Intent.WRITE, left)
                except Saturated:
                    raise
                except Unavailable:
                    node = None  # it was given up meanwhile: wait for what follows
            self.check()
            if deadline is None:
                deadline = monotonic() + limit_s
            await self._wait(seen, deadline, self._no_writer)

    async def take_reader(
        self,
        limit_s: float,
        *,
        max_lag_s: float,
        after: Token | None,
        stale_ok: bool,
        prefer: str | None,
    ) -> AsyncNodeConnection:
        """Take a connection for reading; whoever takes it must close it.

        Raises:
            NoReplica: nothing fresh enough, and no primary, came in time.
            Saturated: no connection became free in time.
            Closed: the cluster is closed, or of another process.
        """
        roster = self._roster
        deadline = None if after is None else monotonic() + limit_s
        asked: set[str] = set()
        while True:
            seen = roster.changed.count
            node = self._reader(
                max_lag_s, after, asked, stale_ok=stale_ok, prefer=prefer
            )
            if node is not None and self._generation == generation.number:
                left = limit_s if deadline is None else deadline - monotonic()
                if left <= 0:
                    raise self._no_reader()
                try:
                    connection = await node.acquire(Intent.READ, left)
                except Saturated:
                    raise
                except Unavailable:
                    node = None  # it was given up meanwhile: wait for what follows
                else:
                    view = node.view
                    # Not one that was there when the node was last heard: it may have
                    # been restarted since, and have replayed less than it had.
                    unproved = (
                        view.role is Role.REPLICA
                        and connection.born > view.observed_at
                        and not stale_ok
                    )
                    held = not unproved or await self._contains(
                        connection, Token(view.timeline, view.lsn), inf
                    )
                    if held and (
                        after is None
                        or deadline is None
                        or await self._contains(connection, after, deadline)
                    ):
                        return connection
                    if view.role is Role.REPLICA:
                        asked.add(node.name)
                        continue
            self.check()
            if deadline is None:
                deadline = monotonic() + limit_s
            await self._wait(seen, deadline, self._no_reader)

    async def _contains(
        self, connection: AsyncNodeConnection, after: Token, deadline: float
    ) -> bool:
        """Make sure of a token on this connection, or give it back.

        A server that answers others may still let this one question lie.
        """
        if connection.node.role is Role.REPLICA:
            deadline = min(deadline, monotonic() + ANSWER_S)
        connection.deadline = deadline
        try:
            if await contained(self._roster, connection, after):
                connection.deadline = inf
                return True
        except psycopg.Error as exc:
            self._roster.blame(connection, exc)
        except BaseException:
            await connection.home.release(connection)
            raise
        await connection.home.release(connection)
        return False

    async def pick_writer(self, limit_s: float) -> AsyncNode:
        """Return the primary, waiting for one.

        Raises:
            NoPrimary: there is none, and none came in time.
            SplitBrain: two nodes claim to be it.
        """
        deadline = monotonic() + limit_s
        while True:
            self.check()
            seen = self._roster.changed.count
            node = self._roster.writer
            if node is not None and node.passes():
                return node
            await self._wait(seen, deadline, self._no_writer)

    async def wait_for(
        self, primary: str | None, replicas: int, limit_s: float
    ) -> None:
        """Wait until there is a primary (this one, if named) and so many replicas.

        Raises:
            DeadlineExceeded: the picture did not become that in time.
        """
        deadline = monotonic() + limit_s
        while True:
            self.check()
            seen = self._roster.changed.count
            picture = self._roster.picture
            writer = self._roster.writer
            streaming = [view for view in picture.replicas if view.streaming]
            if (
                writer is not None
                and primary in {None, writer.name}
                and len(streaming) >= replicas
            ):
                return
            await self._wait(
                seen,
                deadline,
                lambda: DeadlineExceeded(
                    f"not there in {limit_s:g} s: "
                    + self._roster.picture.why_not_writable()
                ),
            )

    def _reader(
        self,
        max_lag_s: float,
        after: Token | None,
        asked: set[str],
        *,
        stale_ok: bool,
        prefer: str | None,
    ) -> AsyncNode | None:
        """Choose a replica that may serve, else the primary.

        Args:
            max_lag_s: the bound on staleness; zero asks for the primary.
            after: nodes that are known to hold it go first, then those not asked yet.
            asked: replicas that were found not to hold what they should.
            stale_ok: whether a replica of unknown lag serves while there is no primary.
            prefer: a zone, or a node.
        """
        roster = self._roster
        replicas = roster.replicas
        if replicas and max_lag_s > 0:
            oldest = monotonic() - max_lag_s
            able = [
                node
                for node in replicas
                if node.view.fresh_at >= oldest and node.pool is not None
            ]
            if asked:
                able = [node for node in able if node.name not in asked]
            if after is not None:
                able = [node for node in able if known(roster, node, after)] or able
            if len(able) == 1:
                chosen = able[0]
            else:
                chosen = choose(prefer_zone(able, prefer), below)
            if chosen is not None and chosen.passes():
                return chosen
        writer = roster.writer
        if writer is not None and not writer.passes():
            writer = None
        if writer is not None or not stale_ok:
            return writer
        able = [
            node
            for node in replicas
            if node.pool is not None and node.name not in asked
        ]
        return choose(prefer_zone(able, prefer), below)

    async def _wait(
        self, seen: int, deadline: float, otherwise: Callable[[], Unavailable]
    ) -> None:
        if not await self._roster.changed.wait(seen, deadline - monotonic()):
            self.check()
            raise otherwise()

    def _no_writer(self) -> Unavailable:
        picture = self._roster.picture
        if picture.verdict is Verdict.SPLIT_BRAIN:
            return SplitBrain(picture.why_not_writable())
        if picture.verdict is Verdict.WRITABLE and picture.primary is not None:
            return NoPrimary(
                f"the circuit breaker of the primary {picture.primary.name} is open"
            )
        return NoPrimary(picture.why_not_writable())

    def _no_reader(self) -> Unavailable:
        picture = self._roster.picture
        if picture.verdict is Verdict.WRITABLE:
            return NoReplica("no node could be shown to be fresh enough in time")
        return NoReplica(
            "no replica is known to be fresh enough, and " + picture.why_not_writable()
        )
