"""Beneath a unit of work for asyncio: the ORM runs in a greenlet (`run_sync`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias, TypeVar

from sqlalchemy import Connection as CoreConnection
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util.concurrency import await_

from authkit.cluster import AsyncNodeConnection, Token
from authkit.errors import Closed
from authkit.hot import AsyncRunner, Runner
from authkit.hot.operation import AnyOperation, Operation
from authkit.hot.written import Params, Step, Written

Connection: TypeAlias = AsyncConnection
Result = TypeVar("Result")
Row = TypeVar("Row")


def core(connection: Connection) -> CoreConnection:
    """Return the connection that a `Session` is bound to."""
    inner = connection.sync_connection
    if inner is None:
        raise Closed("the unit of work is over")
    return inner


async def driver(connection: Connection) -> AsyncNodeConnection:
    """Return psycopg's connection beneath it."""
    raw = await connection.get_raw_connection()
    found = raw.driver_connection
    if not isinstance(found, AsyncNodeConnection):
        raise TypeError("the engine is not the cluster's")
    return found


async def call(connection: Connection, function: Callable[[], Result]) -> Result:
    """Run a function that uses the ORM."""
    return await connection.run_sync(lambda _: function())


def within(runner: AsyncRunner) -> Runner:
    """Return a runner for functions that `call` runs."""
    return _Within(runner)


class _Within:
    """A sync runner inside a greenlet: each call awaits the async one."""

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    def fetch_one(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> Row | None:
        """Return the row, or None where there is none."""
        return await_(
            self._runner.fetch_one(operation, params, max_lag=max_lag, after=after)
        )

    def fetch_all(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Row]:
        """Return every row."""
        return await_(
            self._runner.fetch_all(operation, params, max_lag=max_lag, after=after)
        )

    def execute(self, operation: AnyOperation, params: Params) -> int:
        """Return how many rows it touched."""
        return await_(self._runner.execute(operation, params))

    def write(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        behind: Step | None = None,
        token: bool = False,
    ) -> Written[Row]:
        """Run a write, with a statement before it if given."""
        return await_(self._runner.write(operation, params, behind=behind, token=token))
