"""A moment on the live server that a restored one can be compared with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from time import monotonic, sleep
from typing import Any

import psycopg
from psycopg import sql

from authkit.errors import AuthkitError, BackupError
from authkit.ops.backup.wal import position
from authkit.ops.connection import connect, named
from authkit.schema import SCHEMA
from authkit.schema.roles import BACKUP

# How long to look for a moment at which nobody commits, and the longest pause between
# two looks. It takes one look where writes leave any time between them.
_PATIENCE_S = 10.0
_PAUSE_S = 0.05
# A commit stands in the log before any snapshot shows it, and above the newest one that
# is shown no snapshot lists who runs. A transaction locks its id before it commits, and
# lets go of it after it is seen (`XactLockTableInsert`, `ProcArrayEndTransaction`).
_RUNNING = "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'transactionid'"
# Dropped, emptied, detached or written anew, a table is so in an older snapshot, too.
_FILES = """
SELECT c.oid::bigint, c.relfilenode::bigint, i.inhparent::bigint
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = c.oid
 WHERE n.nspname = %s AND c.relkind = 'r'
 ORDER BY c.oid
"""
_ENOUGH = f"a superuser, or a member of {BACKUP} that was granted this function"


@dataclass(frozen=True, slots=True)
class Moment:
    """A named point of the log, and how many rows each table had there.

    `rows` is None where transactions followed one another too closely to tell, or
    tables were dropped, emptied or made meanwhile.
    """

    name: str
    lsn: int
    at: datetime
    rows: dict[str, int] | None


def mark(url: str, *, patience_s: float = _PATIENCE_S) -> Moment:
    """Name the present moment in the log and count the rows of our tables there.

    Nothing is locked. A snapshot taken before the point and again after it, and equal,
    is the state at the point if meanwhile no transaction was seen that may have written
    its commit; the tables are counted in that snapshot, for as long as it takes, and
    again if they are no longer the same tables then.

    Args:
        url: the primary.
        patience_s: how long to look for such a moment; the rows of the last one are not
            told.

    Raises:
        NotPermitted: the role may not name points (`pg_create_restore_point`).
        AuthkitError: the server does not answer.
    """
    name = f"authkit-drill-{secrets.token_hex(6)}"
    with connect(url) as marker, connect(url, autocommit=False) as counter:
        counter.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        counter.read_only = True
        try:
            return _mark(marker, counter, name, monotonic() + patience_s)
        except psycopg.Error as exc:
            raise _explained(exc) from exc


def _mark(
    marker: psycopg.Connection, counter: psycopg.Connection, name: str, until: float
) -> Moment:
    attempt = 0
    while True:
        attempt += 1
        last = monotonic() >= until
        # Where somebody runs already, a point would only fill the log.
        if last or not _one(marker, _RUNNING)[0]:
            # Recovery stops at the first point of a name: each attempt has its own.
            moment = _name(marker, counter, f"{name}-{attempt}")
            if last or moment.rows is not None:
                return moment
            counter.rollback()
        sleep(min(_PAUSE_S, attempt / 1000))


def _name(
    marker: psycopg.Connection, counter: psycopg.Connection, point: str
) -> Moment:
    files = _files(marker)
    seen = _one(counter, "SELECT pg_current_snapshot()::text")
    lsn, at = _one(
        marker, "SELECT pg_create_restore_point(%s)::text, clock_timestamp()", [point]
    )
    # First who runs, then the snapshot: who ends in between changes it.
    running = _one(marker, _RUNNING)[0]
    after = _one(marker, "SELECT pg_current_snapshot()::text")
    rows = count_rows(counter) if seen == after and not running else None
    if rows is not None and _files(marker) != files:
        rows = None
    return Moment(point, position(lsn), at, rows)


def _files(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(_FILES, [SCHEMA]).fetchall()


def count_rows(connection: psycopg.Connection) -> dict[str, int]:
    """Count the rows of our tables."""
    return {table: _count(connection, table) for table in _tables(connection)}


def _tables(connection: psycopg.Connection) -> list[str]:
    found = connection.execute(
        "SELECT c.relname::text FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " ORDER BY c.relname",
        [SCHEMA],
    ).fetchall()
    return [str(row[0]) for row in found]


def _count(connection: psycopg.Connection, table: str) -> int:
    counted = connection.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCHEMA, table))
    ).fetchone()
    return 0 if counted is None else int(counted[0])


def _one(
    connection: psycopg.Connection, statement: Any, parameters: Any = None
) -> tuple[Any, ...]:
    row = connection.execute(statement, parameters).fetchone()
    if row is None:
        raise BackupError("the server gave no answer")
    return row


def _explained(exc: psycopg.Error) -> AuthkitError:
    if isinstance(exc, psycopg.errors.ReadOnlySqlTransaction) or (
        exc.sqlstate == "55000"
    ):
        return BackupError("the server is a replica: drill with the primary's URL")
    return named(exc, enough=_ENOUGH)
