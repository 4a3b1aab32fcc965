"""Reading a COPY inside a unit of work, whatever colour the connection has.

The ORM makes an object of each value of each row; where a million rows are only looked
at, that is what takes the time. COPY gives a row as one block of bytes, and here as
many at once as have arrived: to wait for each costs more than to look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, TypeAlias, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

Blocks: TypeAlias = Iterator[memoryview]
_AT_ONCE = 1000
# Has psycopg cancel a COPY that is still under way; else it would go on unread.
_LEFT = GeneratorExit("the rest is not wanted")


@contextmanager
def copied(session: Session, statement: LiteralString) -> Generator[Blocks]:
    """Yield the blocks of `COPY ... TO STDOUT`, a row each; they need not all be read.

    One that is left early is cancelled, and the transaction is lost with it: stand in
    a savepoint.

    Raises:
        psycopg.Error: what the driver raises.
    """
    driver = session.connection().connection.driver_connection
    if isinstance(driver, psycopg.AsyncConnection):
        waiting = cast("psycopg.AsyncConnection[Any]", driver)
        copying = waiting.cursor().copy(statement)
        reader = await_only(copying.__aenter__())
        try:
            yield _all(lambda: await_only(waiting.wait(_arrived(waiting.pgconn))))
        finally:
            await_only(reader.finish(_LEFT))
            await_only(copying.__aexit__(None, None, None))
        return
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("the engine's driver is not psycopg")
    plain = cast("psycopg.Connection[Any]", driver)
    with plain.cursor() as cursor, cursor.copy(statement) as copy:
        try:
            yield _all(lambda: plain.wait(_arrived(plain.pgconn)))
        finally:
            copy.finish(_LEFT)


def _all(more: Callable[[], tuple[list[memoryview], bool]]) -> Blocks:
    ended = False
    while not ended:
        blocks, ended = more()
        yield from blocks


def _arrived(pgconn: PGconn) -> PQGen[tuple[list[memoryview], bool]]:
    """Take what has arrived, at least one block, and tell whether that was all."""
    blocks: list[memoryview] = []
    while len(blocks) < _AT_ONCE:
        length, block = pgconn.get_copy_data(1)
        if length > 0:
            blocks.append(block)
        elif length < 0:
            for result in (yield from fetch_many(pgconn)):
                if result.status != ExecStatus.COMMAND_OK:
                    raise error_from_result(result)
            return blocks, True
        elif blocks:
            break
        else:
            while not (yield Wait.R):
                pass
            pgconn.consume_input()
    return blocks, False
