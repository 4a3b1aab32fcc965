"""What runs an operation on a node that is chosen per call.

A repository knows a runner and nothing of nodes. `AsyncRouted` takes a connection for
each call; inside somebody's transaction it is `AsyncBound` that runs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter
from typing import Protocol, TypeAlias, TypeVar

from authkit.cluster import AsyncCluster, AsyncLease, AsyncNodeConnection, Token
from authkit.errors import NodeLost, RetryLater
from authkit.hot import lane
from authkit.hot.observing import Call, Observers
from authkit.hot.operation import AnyOperation, Intent, Operation
from authkit.hot.written import Params, Step, Written

from . import statement

Row = TypeVar("Row")
Result = TypeVar("Result")
# No replica is as current as this: it asks for the primary.
CURRENT = timedelta(0)
READ_TRIES = 3
Work: TypeAlias = Callable[
    [AsyncNodeConnection, Operation[Row], Params], Awaitable[Result]
]


class AsyncRunner(Protocol):
    """Runs operations; the repositories are written against this.

    Parameters are a tuple in the order of the operation's SQL, checked by its
    repository. Whoever implements it raises the errors of `authkit.errors` and never
    those of the driver, and says which of them where it differs.
    """

    async def fetch_one(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> Row | None:
        """Return the row, or None where there is none.

        Args:
            operation: what is run; its row class makes the result.
            params: its parameters.
            max_lag: how stale an answer may be; None asks the primary.
            after: the answer must contain the write of this token.
        """
        ...

    async def fetch_all(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Row]:
        """Return every row, in the order of the operation's SQL; see `fetch_one`."""
        ...

    async def execute(self, operation: AnyOperation, params: Params) -> int:
        """Return how many rows it touched: one that writes does so without a token."""
        ...

    async def write(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        behind: Step | None = None,
        token: bool = False,
    ) -> Written[Row]:
        """Run a write, with a statement before it in the same transaction if given.

        Args:
            operation: what is run, on the primary.
            params: its parameters.
            behind: an operation and its parameters that go first; its rows are dropped.
            token: also return where the commit is in the log, so that a read elsewhere
                can wait for it; in the same round trip.
        """
        ...


class AsyncRouted:
    """Takes a connection for each call, and translates every error of the driver.

    Writes go to the primary. So do reads, because most of them authorise, unless the
    caller says how stale an answer may be (`max_lag`) or what it must contain
    (`after`).
    """

    def __init__(self, cluster: AsyncCluster) -> None:
        self._cluster = cluster
        self.observers = Observers()

    async def fetch_one(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> Row | None:
        """Return the row, or None where there is none.

        Raises:
            Unavailable: no node may serve it now.
            InDoubt: a write was sent and its outcome is not known.
        """
        return await self._run(statement.fetch_one, operation, params, max_lag, after)

    async def fetch_all(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Row]:
        """Return every row.

        Raises:
            Unavailable: no node may serve it now.
            InDoubt: a write was sent and its outcome is not known.
        """
        return await self._run(statement.fetch_all, operation, params, max_lag, after)

    async def execute(self, operation: AnyOperation, params: Params) -> int:
        """Return how many rows it touched.

        Raises:
            Unavailable: no node may serve it now.
            InDoubt: a write was sent and its outcome is not known.
        """
        return await self._run(statement.execute, operation, params)

    async def write(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        behind: Step | None = None,
        token: bool = False,
    ) -> Written[Row]:
        """Run a write, with a statement before it in the same transaction if given.

        The second statement sees what committed while the first one waited: a lock
        taken by the first makes both one decision.

        Raises:
            Unavailable: no node may serve it now.
            InDoubt: it was sent and its outcome is not known.
        """
        if behind is None and not token:
            rows = await self._run(statement.fetch_all, operation, params)
            return Written(rows, None)
        steps: list[Step] = [(operation, params)]
        if behind is not None:
            steps.insert(0, behind)

        async def work(
            connection: AsyncNodeConnection, operation: Operation[Row], params: Params
        ) -> Written[Row]:
            if lane.fits(connection):
                rows, at = await statement.together(connection, steps, token=token)
                return Written(rows, at)
            if behind is None:
                rows = await statement.fetch_all(connection, operation, params)
                return Written(rows, await connection.token())
            # Behind a pooler that prepares nothing: a transaction of three trips.
            connection.managed = True
            await connection.set_autocommit(False)
            rows = await statement.behind(connection, behind, operation, params)
            if token:
                return Written(rows, await connection.commit_with_token())
            await connection.commit()
            return Written(rows, None)

        return await self._run(work, operation, params)

    async def _run(
        self,
        work: Work[Row, Result],
        operation: Operation[Row],
        params: Params,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> Result:
        """Take a connection and work; the rest of it where that does not do.

        A first attempt on a connection that lies ready is made by hand: a block, its
        object and what counts the attempts would cost more than everything else.
        Whoever watches is told by hand as well, for the same reason.
        """
        cluster, observers, intent = self._cluster, self.observers, operation.intent
        began = perf_counter() if observers.watching else None
        connection = None
        if max_lag is None and after is None:
            connection = cluster.at_once(intent)
        if connection is None:
            with Call(observers, operation.name, began) as call:
                return await self._try(
                    work, operation, params, READ_TRIES, call, max_lag, after
                )
        try:
            result = await work(connection, operation, params)
        except BaseException as exc:
            view = connection.node
            with Call(observers, operation.name, began, view) as call:
                try:
                    await cluster.end(connection, exc)
                except (NodeLost, RetryLater):
                    if intent is Intent.WRITE:
                        raise
                    return await self._try(
                        work, operation, params, READ_TRIES - 1, call
                    )
                raise
        if not connection.home.reclaim(connection):
            with Call(observers, operation.name, began, connection.node):
                await cluster.end(connection)
        elif began is not None:
            spent = perf_counter() - began
            observers.tell(operation.name, connection.home.view, spent, None)
        return result

    async def _try(
        self,
        work: Work[Row, Result],
        operation: Operation[Row],
        params: Params,
        left: int,
        call: Call,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> Result:
        """Work; a read whose node was lost, or that recovery cut off, runs again.

        The next lease waits, within its bound, for a node that may serve it.
        """
        while True:
            left -= 1
            try:
                async with self._lease(operation, max_lag, after) as connection:
                    call.view = connection.node
                    return await work(connection, operation, params)
            except (NodeLost, RetryLater):
                if not left or operation.intent is Intent.WRITE:
                    raise

    def _lease(
        self,
        operation: AnyOperation,
        max_lag: timedelta | None,
        after: Token | None,
    ) -> AsyncLease:
        if operation.intent is Intent.WRITE:
            return self._cluster.writer()
        if max_lag is None and after is None:
            max_lag = CURRENT
        return self._cluster.reader(max_lag=max_lag, after=after)
