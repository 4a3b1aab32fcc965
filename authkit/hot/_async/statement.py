"""One operation on one connection: prepare it, bind it, read its rows.

The one place where the hot path meets a cursor. Each statement is prepared on its
first use on a connection and runs by name from then on; the server plans it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import AsyncRawCursor

from authkit.hot.binding import bind
from authkit.hot.operation import Operation

if TYPE_CHECKING:
    from psycopg import AsyncConnection

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
