"""Rows of a log into the database: streamed through COPY, each of them once.

A piece of the log is one transaction. It is copied straight into the table; if a row of
it is there already, the whole piece goes through a temporary table instead, and only
what is new is taken over. What stops half-way says where: everything before is in, and
reading the log again goes on from there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg

from authkit.analysis.ingest.event import Event, Passed, Reader
from authkit.analysis.ingest.piece import Piece, prepare
from authkit.analysis.ingest.rejects import Rejects
from authkit.analysis.ingest.rows import Rows
from authkit.crypto.keyed import KeyedHash
from authkit.errors import DatabaseError, InvalidInput, Unavailable
from authkit.workload.connection import connect, named_faults

_PIECE_ROWS = 100_000
_DAY_US = 86_400_000_000
_EPOCH_DAY = date(1970, 1, 1)
_SOURCE_CHARS = 200
_STEP = 8_192

# Lines read.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What became of a log; `passed` counts what is no attempt, by what it is."""

    source: str
    lines: int
    attempts: int
    new: int
    rejected: int
    rejects: Path | None
    passed: dict[str, int]
    first: datetime | None
    last: datetime | None
    seconds: float

    @property
    def known(self) -> int:
        """How many attempts were in the database before."""
        return self.attempts - self.new


def ingest(
    url: str,
    lines: Iterable[bytes],
    reader: Reader,
    *,
    source: str,
    hashing: KeyedHash,
    rejects: Path,
    progress: Progress | None = None,
    piece_rows: int = _PIECE_ROWS,
) -> IngestSummary:
    """Read a log into `auth_attempts`; what is there already stays as it is.

    Args:
        url: the primary, as the owner of the schema.
        lines: the log.
        reader: what turns its lines into attempts.
        source: the name of the log; the same rows under another name are other rows.
        hashing: how names and devices become bytes.
        rejects: where the lines go that cannot be read; made only if there are some.
        progress: called now and then with the number of lines read.
        piece_rows: how many rows are one transaction.

    Raises:
        InvalidInput: the log, its mapping or the reject file cannot be used.
        SchemaMismatch: the database lacks the tables.
        Unavailable: the database cannot be reached, or went away; says where it stood.
    """
    if not source or len(source) > _SOURCE_CHARS:
        raise InvalidInput("the source needs a name, of 200 characters at most")
    with closing(connect(url)) as connection, Rejects(rejects) as rejected:
        loading = _Loading(connection, source, hashing, piece_rows)
        began = time.perf_counter()
        try:
            with named_faults():
                loading.run(lines, reader, rejected, progress or (lambda line: None))
        except Unavailable as exc:
            raise Unavailable(loading.where(exc)) from exc
        except DatabaseError as exc:
            raise DatabaseError(loading.where(exc), sqlstate=exc.sqlstate) from exc
        return IngestSummary(
            source=source,
            lines=loading.line,
            attempts=loading.attempts,
            new=loading.new,
            rejected=rejected.count,
            rejects=rejected.path if rejected.count else None,
            passed=dict(loading.passed.most_common()),
            first=_moment(loading.first_us),
            last=_moment(loading.last_us),
            seconds=time.perf_counter() - began,
        )


class _Loading:
    """One run: items in, pieces of rows out."""

    def __init__(
        self,
        connection: psycopg.Connection,
        source: str,
        hashing: KeyedHash,
        piece_rows: int,
    ) -> None:
        self._connection = connection
        self._rows = Rows(source, hashing)
        self._piece_rows = piece_rows
        self._author = f"ingest:{source}"
        self._days: set[int] = set()
        self._staged = False
        self.line = self.attempts = self.new = self._done_line = 0
        self.first_us: int | None = None
        self.last_us: int | None = None
        self.passed: Counter[str] = Counter()

    def where(self, error: Exception) -> str:
        """Say how far it came."""
        return (
            f"{error} - stopped after line {self._done_line:,}: what stands before is"
            " in; run it again to go on, nothing is taken twice"
        )

    def run(
        self,
        lines: Iterable[bytes],
        reader: Reader,
        rejects: Rejects,
        progress: Progress,
    ) -> None:
        """Read everything."""
        prepare(self._connection)
        piece: Piece | None = None
        try:
            for line, content, found in reader.read(lines):
                self.line = line
                if not line % _STEP:
                    progress(line)
                if isinstance(found, Event):
                    day = found.at_us // _DAY_US
                    if day not in self._days or (
                        piece is not None and piece.rows >= self._piece_rows
                    ):
                        piece = self._end(piece, line)
                        self._ensure(day)
                    if piece is None:
                        piece = Piece(self._connection, staged=self._staged)
                    encoded, ids = self._rows.encode(found, content)
                    piece.add(encoded)
                    if found.label is not None:
                        piece.label(found, ids, self._author)
                    self._count(found.at_us, len(encoded))
                elif isinstance(found, Passed):
                    self.passed[found.kind] += 1
                else:
                    rejects.add(line, content, found)
            piece = self._end(piece, self.line + 1)
        except BaseException as exc:
            if piece is not None:
                piece.abandon(exc)
            raise
        progress(self.line)

    def _count(self, at_us: int, rows: int) -> None:
        self.attempts += rows
        if self.first_us is None or at_us < self.first_us:
            self.first_us = at_us
        if self.last_us is None or at_us > self.last_us:
            self.last_us = at_us

    def _ensure(self, day: int) -> None:
        """See that a day has a partition; it cannot be made while a COPY runs."""
        if day in self._days:
            return
        at = _EPOCH_DAY + timedelta(days=day)
        self._connection.execute("SELECT authkit.ensure_partitions(%s, %s)", (at, at))
        self._days.add(day)

    def _end(self, piece: Piece | None, line: int) -> None:
        if piece is not None:
            new, self._staged = piece.finish()
            self.new += new
        self._done_line = line - 1


def _moment(at_us: int | None) -> datetime | None:
    return None if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC)
