"""The connection class that lets two layers share one pool.

SQLAlchemy draws from a node's pool, and may call `close()` to give back.
Three things go wrong with a plain connection there, each held by a test: a connection
that the server killed never comes back and its slot is lost; one that SQLAlchemy
invalidated comes back alive; a demoted node (SQLSTATE 25006) is no disconnect.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from psycopg import AsyncCursor, Error, OperationalError
from psycopg.errors import Diagnostic
from psycopg.pq import Format, TransactionStatus
from psycopg.rows import tuple_row

from authkit.cluster import position
from authkit.cluster._async.tidying import AsyncTidying
from authkit.cluster._primitives.sockets import Lifeline
from authkit.cluster.classify import Intent, Phase
from authkit.cluster.consistency import Token
from authkit.cluster.views import Role
from authkit.errors import NotPermitted

if TYPE_CHECKING:
    from psycopg.abc import PQGen, QueryNoTemplate
    from psycopg.pq.abc import PGresult
    from psycopg_pool import AsyncConnectionPool
    from sqlalchemy import Pool
    from sqlalchemy.pool import ConnectionPoolEntry

    from authkit.cluster._async.node import AsyncNode
    from authkit.cluster.classify import Fault
    from authkit.cluster.views import NodeView

# How long a cancel request may take: psycopg allows 5 s, and a server that has stopped
# answers neither the statement nor its cancellation.
CANCEL_LIMIT_S = 0.25
# How long a cancelled statement may take to end, before its connection is shut.
CANCELLED_S = 0.5
# The function of the server that warns of a commit which its standby did not confirm
# (src/backend/replication/syncrep.c): SQLSTATE 01000 or 57P01, both shared with others.
UNCONFIRMED = "SyncRepWaitForLSN"


class AsyncNodeConnection(AsyncTidying):
    """A psycopg connection of a node's pool; `node` is what is known of the node."""

    _home: AsyncNode | None = None
    _lifeline: Lifeline | None = None
    drawn_from: AsyncConnectionPool[Any] | None = None
    out: bool = False
    # When it was given back, on the monotonic clock.
    idle_since: float = -inf
    intent: Intent = Intent.WRITE
    # The error from which conclusions for the node were drawn last.
    blamed: Error | None = None
    committing: bool = False
    # What SQLAlchemy keeps of it, and for which pool: see `engine_pool`.
    seat: tuple[Pool, ConnectionPoolEntry] | None = None
    unconfirmed: bool = False
    # Set where all that ran on it is known to be committed, although it is lost.
    finished: bool = False
    # Whether its next commit is to give a token, and the one that it gave.
    asks: bool = False
    given: Token | None = None
    # Set while a whole transaction runs on it: every statement stands within one.
    managed: bool = False
    # Set for the length of a block that gives it back itself.
    leased: bool = False
    # The deadline before a cancellation that is under way.
    uncancelled: float | None = None
    # On the monotonic clock: the node's watcher shuts the socket when it has passed.
    deadline: float = inf
    born: float = inf
    overdue: bool = False
    # Set where its user went away without a word: the node's watcher gives it back.
    left: bool = False
    # The transaction's state before the operation that may yet fail, and whether a
    # transaction then was begun and is ended by statements of the caller's own.
    before: int = TransactionStatus.IDLE
    unmanaged: bool = False

    @property
    def home(self) -> AsyncNode:
        """The node whose pool it belongs to."""
        home = self._home
        if home is None:
            raise RuntimeError("this connection belongs to no node")
        return home

    @property
    def node(self) -> NodeView:
        """The node as it was last seen."""
        return self.home.view

    @property
    def phase(self) -> Phase:
        """How far its transaction had come when its last operation began."""
        if self.committing:
            return Phase.COMMIT
        if self.managed:
            return Phase.WORK
        if self.before == TransactionStatus.IDLE:
            return Phase.AUTOCOMMIT
        # Where BEGIN was a statement of the caller's own, the one that was lost may
        # have been COMMIT.
        return Phase.COMMIT if self.unmanaged else Phase.WORK

    def lend(self, pool: AsyncConnectionPool[Any], intent: Intent) -> None:
        """Mark it as checked out of this pool."""
        self.drawn_from = pool
        self.intent = intent
        self.out = True

    def begin_by_itself(self, *, begins: bool) -> None:
        """Have a statement begin a transaction, or not; ignored while one is open.

        What `set_autocommit` does, without a lock: nobody else has the connection.
        """
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            self._autocommit = not begins

    def returned(self) -> None:
        """Mark it as given back, as new."""
        self.out = self.managed = self.leased = self.committing = False
        self.unconfirmed = self.overdue = self.asks = False
        self.finished = False
        self.given = None
        self.deadline = inf
        self.drawn_from = self.blamed = None

    def settle(self, home: AsyncNode) -> None:
        """Make it one of this node's; called once, when it is connected."""
        self._home = home
        self.born = monotonic()
        self._lifeline = Lifeline(self.pgconn.socket)
        super().add_notice_handler(self._noticed)

    def add_notice_handler(self, callback: Callable[[Diagnostic], None]) -> None:
        """Register a handler; one that is registered already stays one.

        SQLAlchemy registers its own at every checkout, on what is for us one
        connection: without this a connection would gather them for ever.
        """
        if callback not in self._notice_handlers:
            super().add_notice_handler(callback)

    def _noticed(self, notice: Diagnostic) -> None:
        if notice.source_function == UNCONFIRMED:
            self.unconfirmed = True

    async def wait(self, *arguments: Any, **options: Any) -> Any:
        """Run one operation, remembering what state it began in."""
        if self.severed:
            # Nothing is sent on a socket that we shut: no doubt comes of it.
            self.before = TransactionStatus.INTRANS
            raise OperationalError("the connection was shut by the cluster")
        status = self.pgconn.transaction_status
        if status != TransactionStatus.UNKNOWN:  # then the loss is already known
            self.before = status
            self.unmanaged = self._autocommit and not self._num_transactions
        try:
            return await super().wait(*arguments, **options)
        except BaseException:
            if self.uncancelled is not None:  # what was cancelled has ended
                self.deadline, self.uncancelled = self.uncancelled, None
            raise

    def _exec_command(
        self, command: QueryNoTemplate, result_format: Format = Format.TEXT
    ) -> PQGen[PGresult | None]:
        # What psycopg says by itself: for `commit`, and at the end of `transaction`. A
        # failure of COMMIT leaves the outcome in doubt.
        self.committing = (
            command == b"COMMIT"
            and self.pgconn.transaction_status == TransactionStatus.INTRANS
        )
        result = yield from super()._exec_command(command, result_format)
        self.committing = False
        return result

    async def commit(self) -> None:
        """Commit; where `asks` is set, `given` is its token then."""
        if self.asks and self.pgconn.transaction_status == TransactionStatus.INTRANS:
            self.given = await self.commit_with_token()
        else:
            await super().commit()

    async def commit_with_token(self) -> Token | None:
        """Commit, and return a token for it, in the same round trip.

        None where the server committed and then did not tell the position: it was
        stopped in between. What stands must not look as if it had failed.

        Raises:
            psycopg.Error: as `commit`.
        """
        async with self.lock:
            status = self.pgconn.transaction_status
            self.committing = status == TransactionStatus.INTRANS
            results = await self.wait(position.commit(self.pgconn))
        token = position.of_commit(results, self.info.encoding)
        self.committing = False
        return token

    async def token(self) -> Token:
        """Return a token for everything committed so far; costs a round trip.

        Raises:
            DatabaseError: the server refused.
            NotPermitted: the connection is not the primary's.
        """
        view = self.node
        if view.role is not Role.PRIMARY:
            raise NotPermitted("a token comes from a writer's connection")
        cursor = await self.tuples().execute(position.POSITION)
        return position.of_row(await cursor.fetchone())

    def tuples(self) -> AsyncCursor[tuple[Any, ...]]:
        """Return a cursor that makes plain rows, whatever the caller has them be."""
        return AsyncCursor(self, row_factory=tuple_row)

    async def holds(self, token: Token) -> bool:
        """Whether what is read on it from now on shows this commit.

        A replica is given a moment (20 ms) to replay it. A transaction with one
        snapshot for all of it (REPEATABLE READ) shows what was there at its beginning.

        Raises:
            psycopg.Error: the node could not be asked.
            TokenLost: the commit cannot be shown to be part of the present timeline.
        """
        return await self.home.contained(self, token)

    async def close(self) -> None:
        """Give it back to its pool while it is checked out, else really close it.

        Within a block that gives it back itself, its end: this only undoes what is
        open, as nobody else may have it before.
        """
        home = self._home
        if self.leased:
            await self.rollback()
            return
        if self.out and home is not None:
            await home.release(self)
            return
        self.hang_up()
        await super().close()

    def blame(self, error: Error) -> Fault:
        """Understand an error on it; the node hears of it once."""
        return self.home.blame(self, error)

    def poison(self) -> None:
        """Have it closed instead of reused when it is given back."""
        self.poisoned = True

    def cut(self) -> bool:
        """Shut its socket, from any thread: whoever waits on it wakes with an error."""
        self.severed = True
        lifeline = self._lifeline
        return lifeline is not None and lifeline.cut()

    def silent_ms(self) -> int | None:
        """Milliseconds since the server last sent anything on it."""
        lifeline = self._lifeline
        return None if lifeline is None else lifeline.silent_ms()

    def hang_up(self) -> None:
        """Let go of the socket for good."""
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            lifeline.release()

    async def discard(self) -> None:
        """Really close it, whatever state it is in."""
        self.hang_up()
        self.out = False
        await super().close()

    def drop(self) -> None:
        """Close it at once, without a farewell to anybody."""
        self.hang_up()
        self.out = False
        self.pgconn.finish()

    @property
    def promoted(self) -> bool:
        """Whether the server has told, beside an answer, that it left recovery."""
        return self.pgconn.parameter_status(b"in_hot_standby") == b"off"

    async def _try_cancel(
        self,
        *,
        timeout: float = CANCEL_LIMIT_S,  # noqa: ASYNC109 # overrides psycopg's
    ) -> None:
        # psycopg waits for the statement's end then, for up to 5 s.
        if self.uncancelled is None:
            self.uncancelled = self.deadline
        self.deadline = min(self.deadline, monotonic() + CANCELLED_S)
        await super()._try_cancel(timeout=min(timeout, CANCEL_LIMIT_S))
