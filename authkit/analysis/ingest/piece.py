"""A piece of a log: one transaction, copied straight in where that is possible."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from hashlib import blake2b
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.errors import UniqueViolation

from authkit.analysis.ingest.event import Event
from authkit.analysis.ingest.rows import COLUMNS
from authkit.workload import binary

_CHUNK_BYTES = 256 * 1024
_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS ingested
    (LIKE authkit.auth_attempts INCLUDING DEFAULTS) ON COMMIT DELETE ROWS
"""
_NAMES = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
_COPY = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
_INTO_TABLE = _COPY.format(sql.Identifier("authkit", "auth_attempts"), _NAMES)
_INTO_STAGE = _COPY.format(sql.Identifier("pg_temp", "ingested"), _NAMES)
_TAKE_OVER = sql.SQL(
    "INSERT INTO authkit.auth_attempts ({}) SELECT {} FROM pg_temp.ingested"
    " ON CONFLICT (occurred_at, id) DO NOTHING"
).format(_NAMES, _NAMES)
_LABEL = """
INSERT INTO authkit.attempt_labels (id, attempt_id, occurred_at, label, author)
VALUES (%s, %s, to_timestamp(%s), %s, %s) ON CONFLICT (id) DO NOTHING
"""


def prepare(connection: psycopg.Connection) -> None:
    """Make the temporary table of this connection."""
    connection.execute(_STAGE)


class Piece:
    """Rows on their way into the table.

    Args:
        connection: in autocommit, prepared, and used for nothing else meanwhile.
        staged: whether rows of it are expected to be there already.
    """

    def __init__(self, connection: psycopg.Connection, *, staged: bool) -> None:
        self._connection = connection
        self._staged = staged
        # Kept until the end: a row that is there already is known only then.
        self._chunks: list[bytes] = []
        self._waiting: list[bytes] = [binary.SIGNATURE]
        self._size = 0
        self._labels: list[tuple[object, ...]] = []
        self.rows = 0
        self._transaction = ExitStack()
        self._transaction.enter_context(connection.transaction())
        self._copying = self._transaction.enter_context(ExitStack())
        self._copy = self._copying.enter_context(
            connection.cursor().copy(_INTO_STAGE if staged else _INTO_TABLE)
        )

    def add(self, rows: list[bytes]) -> None:
        """Send rows on their way."""
        self.rows += len(rows)
        for row in rows:
            self._waiting.append(row)
            self._size += len(row)
        if self._size >= _CHUNK_BYTES:
            self._flush()

    def label(self, event: Event, ids: list[bytes], author: str) -> None:
        """Keep what the log itself says of rows; the label's id is made of theirs."""
        for id_ in ids:
            made = blake2b(id_ + str(event.label).encode(), digest_size=16).digest()
            at_s = event.at_us / 1e6
            self._labels.append(
                (UUID(bytes=made), UUID(bytes=id_), at_s, event.label, author)
            )

    def finish(self) -> tuple[int, bool]:
        """Commit; returns how many rows are new, and whether some were there."""
        self._waiting.append(binary.TRAILER)
        self._flush()
        try:
            self._copying.close()
            new = self.rows
            self._say_labels()
            if self._staged:
                new = self._connection.execute(_TAKE_OVER).rowcount
            self._transaction.close()
        except UniqueViolation as exc:
            self.abandon(exc)
            return self._again(), True
        except BaseException as exc:
            self.abandon(exc)
            raise
        return new, new < self.rows

    def abandon(self, why: BaseException) -> None:
        """Roll it back; what that itself may meet is told by `why` already."""
        with suppress(psycopg.Error, type(why)):
            self._transaction.__exit__(type(why), why, why.__traceback__)

    def _again(self) -> int:
        """Send it once more, to the side; returns how many rows were new."""
        with self._connection.transaction():
            with self._connection.cursor().copy(_INTO_STAGE) as copy:
                for chunk in self._chunks:
                    copy.write(chunk)
            self._say_labels()
            return self._connection.execute(_TAKE_OVER).rowcount

    def _say_labels(self) -> None:
        if self._labels:
            self._connection.cursor().executemany(_LABEL, self._labels)

    def _flush(self) -> None:
        chunk = b"".join(self._waiting)
        self._copy.write(chunk)
        if not self._staged:
            self._chunks.append(chunk)
        self._waiting, self._size = [], 0
