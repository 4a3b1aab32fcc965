"""One node: its pool while it is usable, what is checked out of it, its breaker.

A pool lives as long as its node is usable. When the node is given up the pool is
dropped whole, waiting callers wake, and sockets in use are shut; when it comes back it
gets a new one: no connection outlives a doubt, and no retry of an old pool delays the
return (psycopg_pool waits 1, 2, 4 ... seconds between attempts to connect).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic

from psycopg import Error, OperationalError

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.pool import AsyncNodePool
from authkit.cluster._primitives.aio import (
    Signal,
    Worker,
    is_done,
    join,
    outside,
    spawn,
)
from authkit.cluster.breaker import CLOSED, Breaker
from authkit.cluster.classify import Fault, Intent
from authkit.cluster.consistency import Found, Token
from authkit.cluster.credentials import LIMIT_S
from authkit.cluster.events import Admitted, BreakerChanged, Events, Quarantined
from authkit.cluster.faults import POOL_ERRORS, of_pool
from authkit.cluster.sizes import Limits, Sizes
from authkit.cluster.target import Target
from authkit.cluster.views import PRIMARY, NodeView, Role
from authkit.errors import Unavailable

# A worker of the pool ends at the latest when its attempt to connect does.
CLOSE_S = 3.0
# What was given back so lately is in use as far as anybody could tell: whether the
# server has closed it is not looked up again, which would take two system calls.
WARM_S = 0.001


class AsyncNode:
    """A candidate and its connections."""

    def __init__(
        self,
        target: Target,
        limits: Limits,
        events: Events,
        suspect: Callable[[AsyncNode, str], None],
        changed: Signal,
        blame: Callable[[AsyncNodeConnection, Error], Fault],
        contained: Callable[[AsyncNodeConnection, Token], Awaitable[bool]],
    ) -> None:
        self.target = target
        self.name = target.name
        self.view = NodeView(target.name, target.zone)
        self.breaker = Breaker()
        self.pool: AsyncNodePool | None = None
        self.out: set[AsyncNodeConnection] = set()
        self.served = 0
        self.blame = blame
        self.contained = contained
        # What a reader that waited for a commit found last.
        self.found: Found | None = None
        self._returned = Signal()
        self._burials: list[Worker] = []
        self._pool_name = f"authkit {target.name} {id(self):x}"
        self._limits = limits
        self._events = events
        self._suspect = suspect
        self._changed = changed

    def at_once(self, intent: Intent) -> AsyncNodeConnection | None:
        """Take a connection that was in use a moment ago; None where none was."""
        pool = self.pool
        if pool is None:
            return None
        connection = pool.take(monotonic() - WARM_S)
        if connection is None:
            return None
        connection.drawn_from = pool
        connection.intent = intent
        connection.out = True
        self.out.add(connection)
        if self.pool is not pool:
            # The node was given up in this very moment, and its pool with it.
            self.out.discard(connection)
            connection.drop()
            self._returned.raised()
            return None
        return connection

    def reclaim(self, connection: AsyncNodeConnection) -> bool:
        """Take back at once what one statement ran on; False: `release` must do it."""
        pool = self.pool
        if (
            pool is None
            or connection.drawn_from is not pool
            or connection.unconfirmed
            or not connection.pristine
            or self.view.role is not PRIMARY
            or self.breaker.state is not CLOSED
        ):
            return False
        intent = connection.intent
        connection.returned()
        self.out.discard(connection)
        if self.pool is pool and pool.give(connection):
            self.served += 1
            return True
        connection.lend(pool, intent)
        self.out.add(connection)
        return False

    async def acquire(self, intent: Intent, limit_s: float) -> AsyncNodeConnection:
        """Take a connection.

        Raises:
            Unavailable: the node is given up.
            Saturated: none became free in time.
        """
        pool = self.pool
        if pool is None:
            raise Unavailable(f"{self.name} is not usable: {self.view.reason}")
        began: float | None = None
        while True:
            connection = pool.take()
            if connection is None:
                try:
                    connection = await pool.getconn(limit_s)
                except POOL_ERRORS as exc:
                    raise of_pool(exc, node=self.name, waited_s=limit_s) from exc
            connection.lend(pool, intent)
            self.out.add(connection)
            if self.pool is not pool:
                await self.release(connection)
                raise Unavailable(f"{self.name} was given up")
            try:
                # No round trip: reads what the server sent while it lay idle. Twice,
                # because a farewell is read first and the end of the stream next.
                connection.pgconn.consume_input()
                connection.pgconn.consume_input()
            except OperationalError:
                # It was closed meanwhile, by a restart or an administrator.
                began = monotonic() if began is None else began
                limit_s = max(began + limit_s - monotonic(), 0.001)
                await self.release(connection)
                self._suspect(self, "a connection was closed while it lay idle")
            else:
                return connection

    async def release(self, connection: AsyncNodeConnection) -> None:
        """Take a connection back: reused when clean, replaced when not."""
        pool, own = connection.drawn_from, self.pool
        reusable = False
        try:
            reusable = own is pool and (connection.pristine or await connection.clean())
        finally:
            if reusable:
                self.served += 1
                if self.breaker.state is not CLOSED:
                    self.succeeded()
                if self.view.role is Role.REPLICA and connection.promoted:
                    self._suspect(self, "it says that it is no standby any more")
            else:
                await connection.discard()
            connection.returned()
            self.out.discard(connection)
            if self.pool is None:
                self._returned.raised()
            if pool is not None and not (
                reusable and own is not None and own.give(connection)
            ):
                await pool.putconn(connection)

    @property
    def in_flight(self) -> int:
        """Connections that are out."""
        return len(self.out)

    def heard_within(self, milliseconds: float) -> bool:
        """Whether the server sent anything on a connection in use lately."""
        return any(
            silent is not None and silent < milliseconds
            for silent in (connection.silent_ms() for connection in tuple(self.out))
        )

    async def admit(self, view: NodeView) -> None:
        """Give the node a pool of its role's size, or resize the one it has."""
        self.view = view
        sizes = self._limits.of_role(view.role)
        pool = self.pool
        if pool is None:
            # What failed before was another server, or another life of this one.
            self._set_breaker(Breaker())
            pool = self._new_pool(sizes)
            await pool.open()
            self.pool = pool
        elif (pool.min_size, pool.max_size) != (sizes.least, sizes.most):
            await pool.resize(sizes.least, sizes.most)
        else:
            return
        self._events.publish(
            Admitted(
                node=self.name,
                role=view.role,
                min_size=sizes.least,
                max_size=sizes.most,
            )
        )

    def quarantine(
        self, reason: str, *, born_before: float = inf
    ) -> AsyncNodePool | None:
        """Give out no connection any more and shut those in use; does not wait.

        Args:
            reason: for the event.
            born_before: shut only what was connected before; the rest may be finished.

        Returns:
            The pool, to be closed with `bury`.
        """
        pool, self.pool = self.pool, None
        cut = sum(
            connection.cut()
            for connection in tuple(self.out)
            if connection.born < born_before
        )
        if pool is not None:
            self._events.publish(
                Quarantined(node=self.name, reason=reason, sockets=cut)
            )
        return pool

    async def bury(self, pool: AsyncNodePool) -> None:
        """Wake whoever waits for a pool that was dropped; close it by and by."""
        await pool.abandon()
        self._burials = [worker for worker in self._burials if not is_done(worker)]
        self._burials.append(spawn(_close, pool, name=f"{self._pool_name} burial"))

    async def shut(self, deadline: float) -> int:
        """Wait for what is in use until the deadline; shut the rest, say how many."""
        pool, self.pool = self.pool, None
        if pool is not None:
            await pool.abandon()
        try:
            while self.out:
                seen, left = self._returned.count, deadline - monotonic()
                if self.out and not await self._returned.wait(seen, left):
                    break
        finally:
            cut = sum(connection.cut() for connection in tuple(self.out))
            if pool is not None:
                await _close(pool)
        for worker in self._burials:
            await join(worker, CLOSE_S)
        return cut

    def _new_pool(self, sizes: Sizes) -> AsyncNodePool:
        return AsyncNodePool(
            self._conninfo,
            connection_class=AsyncNodeConnection,
            kwargs={
                "autocommit": True,
                # PgBouncer before 1.22 knows nothing of prepared statements.
                "prepare_threshold": None if self.view.pooled else 5,
            },
            min_size=sizes.least,
            max_size=sizes.most,
            open=False,
            configure=self._configure,
            name=self._pool_name,
            timeout=self._limits.acquire_s,
            max_idle=self._limits.idle_s,
            reconnect_timeout=5.0,
        )

    async def _conninfo(self) -> str:
        """Say where to connect, for each connection anew: passwords change."""
        target = self.target
        if target.password is None:
            return target.conninfo(None)
        return target.conninfo(
            await outside(target.question, target.ask_password, LIMIT_S)
        )

    async def _configure(self, connection: AsyncNodeConnection) -> None:
        connection.settle(self)

    def failed(self, now: float) -> None:
        """Count a failure that lies with the node."""
        self._set_breaker(self.breaker.failed(now, self.served))

    def succeeded(self) -> None:
        """The breaker's trial was answered."""
        self._set_breaker(self.breaker.succeeded())

    def probed(self, now: float) -> None:
        """Let one request try, after a probe was answered."""
        self._set_breaker(self.breaker.probed(now))

    def _set_breaker(self, after: Breaker) -> None:
        before, self.breaker = self.breaker, after
        if before.state is not after.state:
            self._events.publish(
                BreakerChanged(node=self.name, before=before.state, after=after.state)
            )
            self._changed.raised()

    def passes(self) -> bool:
        """Whether the breaker lets a request through; taking its one trial."""
        breaker = self.breaker
        if breaker.state is CLOSED:
            return True
        now = monotonic()
        if not breaker.allows(now):
            return False
        self._set_breaker(breaker.tried(now))
        return True


async def _close(pool: AsyncNodePool) -> None:
    await pool.close(timeout=CLOSE_S)
