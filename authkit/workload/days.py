"""Attempts into their days: each partition loaded bare, indexed while the next is made.

An index that is built once costs a fifth of one that grows row by row, and a partition
that is made for these rows alone can be written frozen (documentation, "COPY"). A day
that has a partition already is written through the parent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from authkit.workload import binary, rows
from authkit.workload.lane import Lane, statement_of
from authkit.workload.population import DAY_US

_CHUNK_BYTES = 64 * 1024  # less than a socket holds, so that the server is kept busy
_TABLE = "auth_attempts"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BARE = sql.SQL(
    "SELECT d::date FROM generate_series(%s::date, %s::date, '1 day') AS d"
    " WHERE authkit.bare_partition(%s, %s || to_char(d, '_YYYYMMDD'))"
)
_ATTACH = sql.SQL("SELECT authkit.attach_partition({}, 'occurred_at', {}, {}, {})")


class Days:
    """Writes attempts that come in order of time; every day of the world has a place.

    Args:
        connection: in a transaction, which is all of it or nothing.
        start: when the world begins.
        end: when it ends.
    """

    def __init__(
        self, connection: psycopg.Connection, start: datetime, end: datetime
    ) -> None:
        self._connection = connection
        first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
        self._span = (first, last)
        # By day since 1970: the partitions that are this load's own.
        self._bare = {
            (day - _EPOCH.date()).days
            for (day,) in connection.execute(_BARE, (first, last, _TABLE, _TABLE))
        }
        self._lane = Lane(connection)
        self._open: int | None = None
        self._until_us = 0
        self._waiting: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lane:
            if exc is not None:
                raise exc
            self._close()
            for day in sorted(self._bare):
                self._attach(day)
        # The months of the trail.
        self._connection.execute("SELECT authkit.ensure_partitions(%s, %s)", self._span)

    def add(self, at_us: int, row: bytes) -> None:
        """Write one encoded row."""
        if at_us >= self._until_us:
            self._turn(at_us // DAY_US)
        self._waiting.append(row)
        self._size += len(row)
        if self._size >= _CHUNK_BYTES:
            self._hand_over()

    def _turn(self, day: int) -> None:
        self._close()
        self._open, self._until_us = day, (day + 1) * DAY_US
        own = day in self._bare
        table, options = (_name(day), ", FREEZE") if own else (_TABLE, "")
        self._lane.run(statement_of("authkit", table, rows.ATTEMPTS, options))
        self._waiting.append(binary.SIGNATURE)

    def _close(self) -> None:
        if self._open is None:
            return
        self._waiting.append(binary.TRAILER)
        self._hand_over()
        self._lane.end()
        if self._open in self._bare:
            self._attach(self._open)
            self._bare.discard(self._open)
        self._open = None

    def _hand_over(self) -> None:
        self._lane.rows(b"".join(self._waiting))
        self._waiting.clear()
        self._size = 0

    def _attach(self, day: int) -> None:
        begin = _EPOCH + timedelta(days=day)
        bounds = (at.isoformat(" ") for at in (begin, begin + timedelta(days=1)))
        self._lane.run(_ATTACH.format(_TABLE, _name(day), *bounds))


def _name(day: int) -> str:
    return f"{_TABLE}_{_EPOCH + timedelta(days=day):%Y%m%d}"
