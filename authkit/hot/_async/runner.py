"""What runs an operation: on a node chosen per call, or inside somebody's transaction.

A repository knows a runner and nothing of nodes. `AsyncRouted` takes a connection for
each call; `AsyncBound` uses the one it was given, and shares that transaction and its
fate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter
from typing import Protocol, TypeAlias, TypeVar

import psycopg

from authkit.cluster import AsyncCluster, AsyncLease, AsyncNodeConnection, Token
from authkit.cluster.classify import Phase
from authkit.cluster.faults import translate, understand
from authkit.errors import AuthkitError, NodeLost, RetryLater
from authkit.hot import lane
from authkit.hot.observing import Observers, Served
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
    """Runs operations; the repositories are written against this."""

    async def fetch_one(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> Row | None:
        """Return the row, or None where there is none."""
        ...

    async def fetch_all(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Row]:
        """Return every row."""
        ...

    async def execute(self, operation: AnyOperation, params: Params) -> int:
        """Return how many rows it touched."""
        ...

    async def write(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        behind: Step | None = None,
        token: bool = False,
    ) -> Written[Row]:
        """Run a write, with a statement before it in the same transaction if given."""
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
        """Take a connection and work; tell who listens where, how long and how."""
        if not self.observers.watching:
            return await self._try(work, operation, params, max_lag, after, None)
        served = Served()
        began = perf_counter()
        error: BaseException | None = None
        try:
            return await self._try(work, operation, params, max_lag, after, served)
        except BaseException as exc:
            error = exc
            raise
        finally:
            spent = perf_counter() - began
            self.observers.tell(operation.name, served.node, served.role, spent, error)

    async def _try(
        self,
        work: Work[Row, Result],
        operation: Operation[Row],
        params: Params,
        max_lag: timedelta | None,
        after: Token | None,
        served: Served | None,
    ) -> Result:
        """Work; a read whose node was lost, or that recovery cut off, runs again.

        The next lease waits, within its bound, for a node that may serve it.
        """
        left = 1 if operation.intent is Intent.WRITE else READ_TRIES
        while True:
            left -= 1
            try:
                async with self._lease(operation, max_lag, after) as connection:
                    if served is not None:
                        served.node = connection.node.name
                        served.role = connection.node.role.value
                    return await work(connection, operation, params)
            except (NodeLost, RetryLater):
                if not left:
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


class AsyncBound:
    """Runs on one connection, inside whatever transaction is open on it."""

    def __init__(self, connection: AsyncNodeConnection) -> None:
        self._connection = connection

    async def fetch_one(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> Row | None:
        """Return the row, or None where there is none; the node is given already."""
        del max_lag, after
        try:
            return await statement.fetch_one(self._connection, operation, params)
        except psycopg.Error as exc:
            raise self._translated(exc) from exc

    async def fetch_all(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Row]:
        """Return every row; the node is given already."""
        del max_lag, after
        try:
            return await statement.fetch_all(self._connection, operation, params)
        except psycopg.Error as exc:
            raise self._translated(exc) from exc

    async def execute(self, operation: AnyOperation, params: Params) -> int:
        """Return how many rows it touched."""
        try:
            return await statement.execute(
                self._connection, operation.within or operation, params
            )
        except psycopg.Error as exc:
            raise self._translated(exc) from exc

    async def write(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        behind: Step | None = None,
        token: bool = False,
    ) -> Written[Row]:
        """Run a write, with a statement before it if given; the token is None."""
        del token
        connection = self._connection
        operation = operation.within or operation
        try:
            if behind is None:
                rows = await statement.fetch_all(connection, operation, params)
            else:
                rows = await statement.behind(connection, behind, operation, params)
        except psycopg.Error as exc:
            raise self._translated(exc) from exc
        return Written(rows, None)

    def _translated(self, error: psycopg.Error) -> AuthkitError:
        connection = self._connection
        fault = understand(
            error,
            phase=Phase.WORK,
            intent=connection.intent,
            broken=connection.closed,
        )
        if fault.discard:
            connection.poison()
        return translate(error, fault, node=connection.node.name)
