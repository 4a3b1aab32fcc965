"""One transaction over both layers, on one node.

The node is chosen before the transaction begins and never changes. The transaction
commits when the block ends well and is rolled back when an error leaves it; its audit
events are written last, and commit or vanish with the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from psycopg.pq import TransactionStatus
from sqlalchemy.exc import SQLAlchemyError

from authkit.cluster import (
    AsyncCluster,
    AsyncNodeConnection,
    Intent,
    NodeView,
    Role,
    Token,
)
from authkit.cluster.events import Doubted
from authkit.crypto import KeyRing
from authkit.errors import (
    AuthkitError,
    Closed,
    DatabaseError,
    InDoubt,
    NotPermitted,
)
from authkit.hot import AsyncBound, AsyncHot
from authkit.hot.keyless import no_keys
from authkit.relational._primitives.aio import Connection, call, core, driver, within
from authkit.relational.audit import Receipt
from authkit.relational.journal import Origin
from authkit.relational.translation import MARK, install
from authkit.relational.work import Work

logger = logging.getLogger("authkit.relational")
Result = TypeVar("Result")


class AsyncUnitOfWork:
    """`async with kit.unit_of_work() as uow:` and usable once.

    Args:
        cluster: where the nodes are.
        origin: who acts, for the audit trail.
        read_only: ask a reader's node, and refuse every change.
        max_lag: how stale the answers may be; a replica may serve them then.
        after: a commit that must be visible.
        token: whether the commit gives a token; in its own round trip.
        keys: gives the ring that seals and derives; asked when it is needed.
    """

    def __init__(
        self,
        cluster: AsyncCluster,
        *,
        origin: Origin | None = None,
        read_only: bool = False,
        max_lag: timedelta | None = None,
        after: Token | None = None,
        token: bool = False,
        keys: Callable[[], KeyRing] = no_keys,
    ) -> None:
        self._cluster = cluster
        self._origin = origin or Origin()
        self._read_only = read_only
        self._max_lag = max_lag
        self._after = after
        self._wants_token = token
        self._keys = keys
        self._connection: Connection | None = None
        self._driver: AsyncNodeConnection | None = None
        self._work: Work | None = None
        self._hot: AsyncHot | None = None
        self._token: Token | None = None
        self._receipts: tuple[Receipt, ...] = ()

    @property
    def hot(self) -> AsyncHot:
        """The hot path's repositories, inside this transaction.

        Raises:
            Closed: the block has not begun, or is over.
        """
        if self._hot is None:
            raise Closed("the unit of work is not open")
        return self._hot

    @property
    def work(self) -> Work:
        """The repositories as functions of `run` see them.

        Raises:
            Closed: the block has not begun, or is over.
        """
        if self._work is None:
            raise Closed("the unit of work is not open")
        return self._work

    @property
    def node(self) -> NodeView:
        """The node that the transaction runs on."""
        if self._driver is None:
            raise Closed("the unit of work is not open")
        return self._driver.node

    @property
    def token(self) -> Token | None:
        """The commit's token, once it has committed and if it was asked for.

        None also where the server committed and was stopped before it told: what must
        see the commit asks the primary then.
        """
        return self._token

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """Where this transaction's audit events stand, once it has committed."""
        return self._receipts

    async def run(self, function: Callable[[Work], Result]) -> Result:
        """Run a function over the repositories: `uow.run(lambda w: w.users.get(id))`.

        Raises:
            AuthkitError: what the repositories raise.
        """
        work = self.work
        return await call(self._open_connection, lambda: function(work))

    async def __aenter__(self) -> Self:
        """Choose the node and begin.

        Raises:
            Unavailable: no node may serve it now.
        """
        if self._connection is not None:
            raise Closed("a unit of work is used once")
        if self._read_only and (self._max_lag is not None or self._after is not None):
            connection = await self._cluster.connect(
                Intent.READ, max_lag=self._max_lag, after=self._after
            )
        else:
            connection = await self._cluster.connect()
        self._connection = connection
        try:
            await self._begin(connection)
        except BaseException:
            await connection.close()
            raise
        return self

    async def _begin(self, connection: Connection) -> None:
        inner = core(connection)
        install(inner.engine)
        inner.execution_options(**{MARK: True})
        self._driver = await driver(connection)
        self._driver.managed = True
        if self._read_only:
            await self._driver.set_read_only(True)
            # A refused write is then the caller's mistake, and no sign that the
            # primary was demoted: SQLSTATE 25006 says both.
            self._driver.intent = Intent.READ
        await connection.begin()
        bound = AsyncBound(self._driver)
        self._hot = AsyncHot(bound, self._keys)
        self._work = Work(inner, within(bound), self._origin, self._keys)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or roll back where an error leaves the block.

        Raises:
            InDoubt: COMMIT was sent, and whether it was applied is not known.
            DatabaseError: an earlier error had lost the transaction; nothing was
                committed.
        """
        connection, work = self._open_connection, self.work
        try:
            if error is None:
                await self._commit(connection, work)
            else:
                await self._roll_back(connection)
        except BaseException as exc:
            if isinstance(exc, InDoubt):
                node = self.node.name
                self._cluster.events.publish(Doubted(node=node, key=exc.key))
            if error is None:
                await self._roll_back(connection)
            raise
        finally:
            self._work = self._hot = None
            try:
                await call(connection, work.session.close)
            finally:
                await connection.close()

    async def _commit(self, connection: Connection, work: Work) -> None:
        transaction, node = connection.get_transaction(), self._driver
        if transaction is None or not transaction.is_active or node is None:
            raise DatabaseError("an error had ended the transaction; nothing was kept")
        if node.pgconn.transaction_status == TransactionStatus.INERROR:
            # The server would answer this COMMIT with a ROLLBACK, and no error.
            raise DatabaseError("an error had lost the transaction; nothing was kept")
        # Of a reading one the server refuses whatever is pending: nothing is dropped
        # without a word.
        await call(connection, work.finish)
        if self._wants_token and node.node.role is not Role.PRIMARY:
            raise NotPermitted("a token comes from a writer's connection")
        node.asks = self._wants_token
        await transaction.commit()
        token = node.given
        self._receipts = work.audit.receipts
        if node.unconfirmed:
            raise InDoubt(
                "the commit was cancelled before a standby confirmed it: "
                f"it stands on {node.node.name} and may be lost by a failover"
            )
        self._token = token

    async def _roll_back(self, connection: Connection) -> None:
        transaction = connection.get_transaction()
        if transaction is None or not transaction.is_active:
            return
        try:
            await transaction.rollback()
        except (AuthkitError, SQLAlchemyError) as exc:
            # The connection is lost and the server rolls back by itself. What the
            # caller should see is the error that led here.
            logger.warning("rolling back failed: %s", type(exc).__name__)

    @property
    def _open_connection(self) -> Connection:
        if self._connection is None or self._connection.closed:
            raise Closed("the unit of work is not open")
        return self._connection
