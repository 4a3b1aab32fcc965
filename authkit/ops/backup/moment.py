"""A moment on the live server that a restored one can be compared with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from authkit.errors import AuthkitError, BackupError
from authkit.ops.backup.wal import position
from authkit.ops.connection import connect, named
from authkit.schema import SCHEMA
from authkit.schema.roles import BACKUP

# Between a snapshot and the position a transaction may commit; how often to try for a
# pair without one.
_TRIES = 200
_ENOUGH = f"a superuser, or a member of {BACKUP} that was granted this function"


@dataclass(frozen=True, slots=True)
class Moment:
    """A named point of the log, and how many rows each table had there.

    `rows` is None where transactions followed one another too closely to tell.
    """

    name: str
    lsn: int
    at: datetime
    rows: dict[str, int] | None


def mark(url: str) -> Moment:
    """Name the present moment in the log and count the rows of our tables there.

    Nothing is locked. A snapshot in which no transaction runs, taken before the point
    and again after it, and equal, is the state at the point; the tables are counted in
    that snapshot, for as long as it takes.

    Raises:
        NotPermitted: the role may not name points (`pg_create_restore_point`).
        AuthkitError: the server does not answer.
    """
    name = f"authkit-drill-{secrets.token_hex(6)}"
    with connect(url) as marker, connect(url, autocommit=False) as counter:
        counter.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        counter.read_only = True
        try:
            return _mark(marker, counter, name)
        except psycopg.Error as exc:
            raise _explained(exc) from exc


def _mark(marker: psycopg.Connection, counter: psycopg.Connection, name: str) -> Moment:
    for attempt in range(1, _TRIES + 1):
        seen = _one(counter, "SELECT pg_current_snapshot()::text")[0]
        # Recovery stops at the first point of a name: each attempt has its own.
        point = f"{name}-{attempt}"
        lsn, at = _one(
            marker,
            "SELECT pg_create_restore_point(%s)::text, clock_timestamp()",
            [point],
        )
        after = _one(marker, "SELECT pg_current_snapshot()::text")[0]
        least, following, running = str(seen).split(":")
        if seen == after and least == following and not running:
            rows = {table: _count(counter, table) for table in _tables(counter)}
            return Moment(point, position(lsn), at, rows)
        counter.rollback()
        if attempt == _TRIES:
            return Moment(point, position(lsn), at, None)
    raise AssertionError("a number of tries that is not positive")


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
