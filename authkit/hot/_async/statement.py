"""One operation on one connection: prepare it, bind it, read its rows.

The one place where the hot path meets a cursor. Each statement is prepared on its
first use on a connection and runs by name from then on; the server plans it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncRawCursor

from authkit.hot.binding import bind
from authkit.hot.operation import AnyOperation, Operation

Row = TypeVar("Row")


async def fetch_one(
    connection: AsyncConnection[Any],
    operation: Operation[Row],
    params: Sequence[object],
) -> Row | None:
    """Run an operation that returns at most one row.

    Raises:
        psycopg.Error: as the server reported it; the runner translates.
    """
    cursor = AsyncRawCursor[tuple[Any, ...]](connection)
    await cursor.execute(operation.sql, bind(operation, params), prepare=True)
    values = await cursor.fetchone()
    return None if values is None else operation.build(values)


async def fetch_all(
    connection: AsyncConnection[Any],
    operation: Operation[Row],
    params: Sequence[object],
) -> list[Row]:
    """Run an operation that returns rows, in the order of the server.

    Raises:
        psycopg.Error: as the server reported it; the runner translates.
    """
    cursor = AsyncRawCursor[tuple[Any, ...]](connection)
    await cursor.execute(operation.sql, bind(operation, params), prepare=True)
    build = operation.build
    return [build(values) for values in await cursor.fetchall()]


async def execute(
    connection: AsyncConnection[Any],
    operation: Operation[Any],
    params: Sequence[object],
) -> int:
    """Run an operation for its effect; return how many rows it touched.

    Raises:
        psycopg.Error: as the server reported it; the runner translates.
    """
    cursor = AsyncRawCursor[tuple[Any, ...]](connection)
    await cursor.execute(operation.sql, bind(operation, params), prepare=True)
    return cursor.rowcount


async def fetch_behind(
    connection: AsyncConnection[Any],
    first: tuple[AnyOperation, Sequence[object]],
    operation: Operation[Row],
    params: Sequence[object],
) -> list[Row]:
    """Run two operations in the open transaction, in one round trip.

    Returns the rows of the second, which sees with a snapshot of its own what
    committed while the first one waited for its locks.

    Raises:
        psycopg.Error: as the server reported it; the runner translates.
    """
    leader = AsyncRawCursor[tuple[Any, ...]](connection)
    cursor = AsyncRawCursor[tuple[Any, ...]](connection)
    async with connection.pipeline():
        await leader.execute(first[0].sql, bind(*first), prepare=True)
        await cursor.execute(operation.sql, bind(operation, params), prepare=True)
    build = operation.build
    return [build(values) for values in await cursor.fetchall()]
