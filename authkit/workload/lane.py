"""Statements and rows for one connection that nobody waits for until they must.

A COPY through the driver waits whenever the server is slower, and a statement until it
ends: whoever makes rows stands still while their indexes are built. Here both queue up,
are handed over as the connection takes them, and only a full queue makes anybody wait
(PostgreSQL documentation, "Asynchronous Command Processing", non-blocking mode).
"""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import LiteralString, Self

import psycopg
from psycopg import sql
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.waiting import Wait

_MOST_BYTES = 8 * 1024 * 1024  # what may wait: some 25,000 attempts
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


def statement_of(
    schema: str, table: str, columns: tuple[str, ...], options: LiteralString = ""
) -> sql.Composed:
    """Return the statement that begins a COPY of binary rows."""
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary{})").format(
        sql.Identifier(schema, table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(options),
    )


class Lane:
    """What one connection is to do, in order; it does nothing else meanwhile.

    On the way out of its block all of it has been done; an error of the server is
    raised by whichever call meets it. After an exception nothing more is sent.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        # A statement (True), rows of a COPY (False), or the end of it (None).
        self._todo: deque[tuple[bool | None, bytes]] = deque()
        self._bytes = 0
        self._asked = False  # an answer is outstanding
        self._copying = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._connection.wait(self._until(0))
        finally:
            self._todo.clear()
            if not self._connection.broken:
                self._connection.wait(self._drained())

    def run(self, statement: sql.Composable) -> None:
        """Queue a statement; of a COPY, rows and `end` follow."""
        self._put(True, statement.as_bytes(self._connection))

    def rows(self, encoded: bytes) -> None:
        """Queue rows of the COPY that was begun."""
        self._put(False, encoded)

    def end(self) -> None:
        """Queue the end of the COPY."""
        self._put(None, b"")

    def _put(self, what: bool | None, data: bytes) -> None:
        self._todo.append((what, data))
        self._bytes += len(data)
        if not self._done(0) and self._bytes > _MOST_BYTES:
            self._connection.wait(self._until(_MOST_BYTES))

    def _until(self, left: int) -> PQGen[None]:
        while not self._done(left):
            yield Wait.RW if self._pgconn.flush() else Wait.R

    def _drained(self) -> PQGen[None]:
        """Take what the server still says, whatever it is: what went wrong is known."""
        ended = False
        while not ended:
            try:
                yield from self._until(0)
                ended = not self._copying
            except psycopg.Error:
                ended = self._pgconn.status != ConnStatus.OK
            if self._copying and not ended:
                self._todo.append((None, b"the rows were not made"))

    def _done(self, left: int) -> bool:
        """Hand over what the connection takes; tell whether so little is left."""
        pgconn = self._pgconn
        while not pgconn.flush():
            if self._asked:
                pgconn.consume_input()
                if pgconn.is_busy():
                    break
                self._answered()
                continue
            if not self._todo:
                return True
            what, data = self._todo.popleft()
            self._bytes -= len(data)
            if what:
                pgconn.send_query(data)
                self._asked = True
            elif what is None:
                pgconn.put_copy_end(data or None)
                self._asked, self._copying = True, False
            else:
                pgconn.put_copy_data(data)
        return bool(left) and self._bytes <= left

    def _answered(self) -> None:
        result = self._pgconn.get_result()
        if result is None:
            self._asked = False
        elif result.status == ExecStatus.COPY_IN:
            self._asked, self._copying = False, True
        elif result.status in _FAILED:
            raise error_from_result(result, self._connection.info.encoding)
