"""One operation on one connection: prepare it, bind it, read its rows.

The one place where the hot path meets a connection. By itself a statement runs in the
fast lane (`authkit.hot.lane`); inside a transaction psycopg's cursor runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncRawCursor, pq
from psycopg.generators import execute as execute_gen

from authkit.cluster import AsyncNodeConnection, Token
from authkit.cluster.position import POSITION, of_answer
from authkit.hot import lane
from authkit.hot._primitives.aio import ask
from authkit.hot.binding import bind, write_exactly
from authkit.hot.lane import Prepared
from authkit.hot.operation import AnyOperation, Operation
from authkit.hot.written import Step

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
    if lane.fits(connection):
        prepared, result = await _run(connection, operation, params)
        if result.ntuples == 0:
            return None
        return prepared.read(result).load_row(0, operation.build)
    cursor = await _execute(connection, operation, params)
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
    if lane.fits(connection):
        prepared, result = await _run(connection, operation, params)
        return prepared.read(result).load_rows(0, result.ntuples, operation.build)
    cursor = await _execute(connection, operation, params)
    build = operation.build
    return [build(values) for values in await cursor.fetchall()]


async def execute(
    connection: AsyncConnection[Any],
    operation: AnyOperation,
    params: Sequence[object],
) -> int:
    """Run an operation for its effect; return how many rows it touched.

    Raises:
        psycopg.Error: as the server reported it; the runner translates.
    """
    if lane.fits(connection):
        _, result = await _run(connection, operation, params)
        return result.command_tuples or 0
    cursor = await _execute(connection, operation, params)
    return cursor.rowcount


async def together(
    connection: AsyncConnection[Any], steps: Sequence[Step], *, token: bool
) -> tuple[list[Any], Token | None]:
    """Run operations as one transaction in one round trip; commit it.

    Returns the rows of the last one, which sees with a snapshot of its own what
    committed while the ones before it waited for their locks; and a token for the
    commit, where one is asked for and the server told it. The connection must fit the
    lane.

    Raises:
        psycopg.Error: as the server reported it; nothing of it was applied.
    """
    statements = lane.of(connection)
    again = False
    while True:
        calls: list[lane.Call] = []
        for operation, params in steps:
            prepared = statements.get(operation.name)
            if prepared is None:
                prepared = await _prepare(connection, operation)
                statements[operation.name] = prepared
            calls.append((prepared, prepared.values(params)))
        async with connection.lock:
            results, told = await connection.wait(
                lane.exchange(connection.pgconn, calls, POSITION if token else None)
            )
        error = lane.first_refused(results)
        if error is None:
            break
        if again or not isinstance(error, lane.GONE):
            raise error
        again = True
        for operation, _ in steps:
            del statements[operation.name]
    if isinstance(connection, AsyncNodeConnection):
        connection.finished = connection.closed
    last, read = steps[-1][0], calls[-1][0]
    result = results[len(steps) - 1]
    rows = read.read(result).load_rows(0, result.ntuples, last.build)
    return rows, of_answer(told)


async def behind(
    connection: AsyncConnection[Any],
    first: Step,
    operation: Operation[Row],
    params: Sequence[object],
) -> list[Row]:
    """Run two operations in the open transaction, in one round trip.

    Returns the rows of the second, which sees with a snapshot of its own what
    committed while the first one waited for its locks.

    Raises:
        psycopg.Error: as the server reported it; the runner translates.
    """
    async with connection.pipeline():
        await _execute(connection, *first)
        cursor = await _execute(connection, operation, params)
    build = operation.build
    return [build(values) for values in await cursor.fetchall()]


async def _execute(
    connection: AsyncConnection[Any], operation: AnyOperation, params: Sequence[object]
) -> AsyncRawCursor[tuple[Any, ...]]:
    cursor = AsyncRawCursor[tuple[Any, ...]](connection)
    write_exactly(cursor.adapters, operation)
    await cursor.execute(operation.sql, bind(operation, params), prepare=True)
    return cursor


async def _run(
    connection: AsyncConnection[Any], operation: AnyOperation, params: Sequence[object]
) -> tuple[Prepared, pq.abc.PGresult]:
    statements = lane.of(connection)
    prepared = statements.get(operation.name)
    if prepared is not None:
        result = await ask(connection, prepared, prepared.values(params))
        if result.status in lane.FINE:
            return prepared, result
        error = lane.refused(result)
        if not isinstance(error, lane.GONE):
            raise error
        del statements[operation.name]
    prepared = await _prepare(connection, operation)
    statements[operation.name] = prepared
    result = await ask(connection, prepared, prepared.values(params))
    if result.status in lane.FINE:
        return prepared, result
    raise lane.refused(result)


async def _prepare(
    connection: AsyncConnection[Any], operation: AnyOperation
) -> Prepared:
    prepared = Prepared(operation)
    ours = isinstance(connection, AsyncNodeConnection)
    if ours:
        # What is lost while it is prepared was not applied: it counts as work in a
        # transaction. Where it fails, whoever takes the connection back resets this.
        connection.managed = True
    async with connection.lock:
        connection.pgconn.send_prepare(
            prepared.name, operation.sql.encode(), prepared.oids
        )
        (result,) = await connection.wait(execute_gen(connection.pgconn))
    if result.status not in lane.FINE:
        raise lane.refused(result)
    if ours:
        connection.managed = False
    return prepared
