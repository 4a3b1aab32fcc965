"""PostgreSQL to pandas: attempts, sessions, scores, the audit trail, your own SQL."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from authkit.analysis import sources
from authkit.analysis.arrow import tables
from authkit.analysis.growing import grown
from authkit.analysis.loading import load, tell
from authkit.analysis.provenance import Standing, stated
from authkit.analysis.reading import ANALYST, Reader, asked, reading
from authkit.analysis.source import Condition, Source
from authkit.analysis.unmasking import Noted
from authkit.analysis.window import When, Window, window
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

    from authkit.analysis.export import Manifest

MAX_ROWS = 5_000_000
STREAMED_ROWS = 200_000


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Frames:
    """Frames of one database, as the analyst's role unless asked otherwise.

    Nothing is opened until a frame is asked for; each frame has a connection of its
    own, read-only. What a frame is of stands in its `attrs`: node, lag in seconds at
    most, masked or not, window, and `behind`: whether a replica may lack its end.

    Args:
        url_for: says where to read; called for every frame, so that it follows the
            cluster. A replica, if there is one.
        masked: read the masked views as `authkit_analyst`. Otherwise read clear rows
            with whatever rights the URL's own user has.
        max_rows: how many rows a frame may have; None is no bound.
        say: receives a sentence about every frame.
        now: the clock.
        noted: called before clear rows are shown, with the source, the window and how
            many there are, and twice for an export: before it, with None; and after it.
            `kit.frames` writes an entry into the audit trail there.
    """

    def __init__(
        self,
        url_for: Callable[[], str],
        *,
        masked: bool = True,
        max_rows: int | None = MAX_ROWS,
        say: Callable[[str], None] = tell,
        now: Callable[[], datetime] = _utc_now,
        noted: Noted | None = None,
    ) -> None:
        if max_rows is not None and max_rows < 1:
            raise InvalidInput("max_rows must be positive, or None")
        self._url_for = url_for
        self._masked = masked
        self._max_rows = max_rows
        self._say = say
        self._now = now
        self._noted = noted

    def __repr__(self) -> str:
        return f"Frames({'masked' if self._masked else 'clear'})"

    @property
    def masked(self) -> bool:
        """Whether people and addresses are tokens."""
        return self._masked

    @property
    def clear(self) -> Frames:
        """The same database unmasked, with the rights of the URL's own user."""
        return Frames(
            self._url_for,
            masked=False,
            max_rows=self._max_rows,
            say=self._say,
            now=self._now,
            noted=self._noted,
        )

    def attempts(
        self,
        since: When = "7d",
        until: When = None,
        user: str | UUID | None = None,
        ip: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return login attempts in order of time, one row each.

        Args:
            since: where the window begins: `7d`, `12h`, a time; None is all there is.
            until: where it ends; None is now.
            user: a user id, or its token when masked.
            ip: an address or network, or an address's token when masked.
            columns: names of the columns wanted, in order.

        Raises:
            InvalidInput: an argument cannot be read, or the result is too large.
            NotPermitted: the role may not read attempts.
            Unavailable: no node answers.
        """
        conditions: list[Condition] = []
        if user is not None:
            conditions.append(sources.of_user(user, masked=self._masked))
        if ip is not None:
            conditions.append(sources.of_address(ip, masked=self._masked))
        return self.rows(sources.ATTEMPTS, since, until, conditions, columns)

    def sessions(
        self,
        since: When = None,
        until: When = None,
        user: str | UUID | None = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return the sessions of the hot table by their creation; `live` says which.

        Live (bool) is as of the read, by the server's clock. Arguments and errors are
        those of `attempts`.
        """
        conditions: list[Condition] = []
        if user is not None:
            conditions.append(sources.of_user(user, masked=self._masked))
        return self.rows(sources.SESSIONS, since, until, conditions, columns)

    def audit(
        self,
        since: When = "30d",
        until: When = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return the audit trail by the time it was recorded.

        `at` is when it happened, where that was said. `before`, `after` and `details`
        may name people and are there in clear frames only. Arguments and errors are
        those of `attempts`.
        """
        return self.rows(sources.AUDIT, since, until, [], columns)

    def scores(
        self,
        since: When = "7d",
        until: When = None,
        user: str | UUID | None = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return the risk scores; a missing score is *unscored*, not a low risk.

        One row for each attempt that was scored or could not be. Clear frames say why
        (`unscored`) and hold the terms of each score. Arguments and errors are those
        of `attempts`.
        """
        conditions: list[Condition] = []
        if user is not None:
            conditions.append(sources.of_user(user, masked=self._masked))
        return self.rows(sources.SCORES, since, until, conditions, columns)

    def rate_limits(
        self,
        since: When = None,
        until: When = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return the limiter's counters by their last change; clear frames only.

        Raises:
            NotPermitted: there is no masked view of them.
        """
        return self.rows(sources.RATE_LIMITS, since, until, [], columns)

    def tokens(
        self,
        since: When = "30d",
        until: When = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return what is told of issued tokens by creation; clear frames only.

        `token` is its id, never what a client holds: whose it is, and when it ends.

        Raises:
            NotPermitted: there is no masked view of them.
        """
        return self.rows(sources.TOKENS, since, until, [], columns)

    def stream(
        self,
        name: str = "attempts",
        since: When = None,
        until: When = None,
        columns: Sequence[str] | None = None,
        rows: int = STREAMED_ROWS,
    ) -> Generator[DataFrame]:
        """Yield frames of about `rows` rows each, in order of time, of any number.

        All are of one moment of the database, and no more than one is in memory.

        Args:
            name: `attempts`, `sessions`, `scores`, `audit`, `rate_limits` or `tokens`.
            since: where the window begins; None is all there is.
            until: where it ends; None is now.
            columns: names of the columns wanted, in order.
            rows: how many at once, about.

        Raises:
            InvalidInput: an argument cannot be read.
        """
        source = sources.named(name)
        within = window(since, until, now=self._now())
        statement, values = source.select(within, (), columns, masked=self._masked)
        with self.reading() as reader:
            for table in tables(reader.batches(statement, values), rows):
                yield self._told(grown(table), name, reader.standing, within)

    def export(
        self,
        directory: Path | str,
        since: When = "30d",
        until: When = None,
        *,
        name: str = "attempts",
        columns: Sequence[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Manifest:
        """Write Parquet files that DuckDB, Polars, Dask and Spark read as they are.

        See `authkit.analysis.export`. A day is written again where the table has since
        got rows of it, or one was settled; what was purged there stays in its file.

        Args:
            directory: where to; made if it is not there.
            since: where the window begins; whole days are written, in UTC.
            until: where it ends; None is now.
            name: `attempts`, `scores` or `audit`.
            columns: names of the columns wanted; the time is always among them.
            progress: called with how many days are done, and how many there are.

        Raises:
            InvalidInput: something else stands there, or the window is not usable.
        """
        from authkit.analysis.export import export

        return export(
            self,
            Path(directory),
            window(since, until or self._now(), now=self._now()),
            name=name,
            columns=columns,
            progress=progress,
            say=self._say,
        )

    def reading(self, *, ours: bool = True) -> AbstractContextManager[Reader]:
        """Open one connection to read with, under the role that these frames have."""
        role = ANALYST if self._masked else None
        return reading(self._url_for(), role=role, ours=ours)

    def note(self, name: str, within: Window | None, rows: int | None) -> None:
        """Say that clear rows are about to be shown; nothing to say of masked ones."""
        if not self._masked and self._noted is not None:
            self._noted(name, within, rows)

    def query(self, sql: str, params: Sequence[object] = ()) -> DataFrame:
        """Return the rows of your own SELECT; parameters are `$1`, `$2` and so on.

        An array of several dimensions comes flat: select it as `to_jsonb(...)`.

        Raises:
            InvalidInput: it is not valid SQL, or the result is too large.
            NotPermitted: the role may not read that, or the statement would write.
        """
        frame, standing = self._read(asked(sql, params), params, ours=False)
        return self._told(frame, "query", standing, None)

    def rows(
        self,
        source: Source,
        since: When,
        until: When,
        conditions: Sequence[Condition] = (),
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return the rows of a source within a window; what the other frames call.

        Conditions are joined by AND. `frame.attrs` says the statement and when, where
        and how fresh the rows were read. Errors are those of `attempts`.
        """
        within = window(since, until, now=self._now())
        statement, values = source.select(
            within, conditions, columns, masked=self._masked
        )
        frame, standing = self._read(statement, values, ours=True)
        frame.attrs.update(sql=statement, parameters=[str(value) for value in values])
        return self._told(frame, source.name, standing, within)

    def _read(
        self, statement: str, parameters: Sequence[object], *, ours: bool
    ) -> tuple[DataFrame, Standing]:
        with self.reading(ours=ours) as reader:
            return load(reader, statement, parameters, self._max_rows), reader.standing

    def _told(
        self,
        frame: DataFrame,
        name: str,
        standing: Standing,
        within: Window | None,
    ) -> DataFrame:
        self.note(name, within, len(frame))
        self._say(
            stated(frame, name, standing, within, masked=self._masked, now=self._now())
        )
        return frame
