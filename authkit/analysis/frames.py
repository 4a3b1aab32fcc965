"""PostgreSQL to pandas: attempts, sessions, scores, the audit trail, your own SQL."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from authkit.analysis import sources
from authkit.analysis.arrow import to_pandas
from authkit.analysis.reading import ANALYST, Standing, reading, too_many
from authkit.analysis.sources import Condition, Source
from authkit.analysis.window import When, Window, window
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_ROWS = 5_000_000
# The planner's guess may be off; only what is far beyond is refused unread.
_DOUBT = 3


def tell(text: str) -> None:
    """Print a remark: below the cell in a notebook, on standard error elsewhere."""
    stream = sys.stdout if "ipykernel" in sys.modules else sys.stderr
    stream.write(f"{text}\n")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Frames:
    """Frames of one database, as the analyst's role unless asked otherwise.

    Nothing is opened until a frame is asked for; each frame has a connection of its
    own, read-only. What a frame is of stands in its `attrs`: node, lag in seconds,
    masked or not, window.

    Args:
        url_for: says where to read; called for every frame, so that it follows the
            cluster. A replica, if there is one.
        masked: read the masked views as `authkit_analyst`. Otherwise read clear rows
            with whatever rights the URL's own user has.
        max_rows: how many rows a frame may have; None is no bound.
        say: receives a sentence about every frame.
        now: the clock.
    """

    def __init__(
        self,
        url_for: Callable[[], str],
        *,
        masked: bool = True,
        max_rows: int | None = MAX_ROWS,
        say: Callable[[str], None] = tell,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        if max_rows is not None and max_rows < 1:
            raise InvalidInput("max_rows must be positive, or None")
        self._url_for = url_for
        self._masked = masked
        self._max_rows = max_rows
        self._say = say
        self._now = now

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
        return self._frame(sources.ATTEMPTS, since, until, conditions, columns)

    def sessions(
        self,
        since: When = None,
        until: When = None,
        user: str | UUID | None = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return the sessions of the hot table by their creation; `live` says which.

        Live is as of the read, by the server's clock.
        """
        conditions: list[Condition] = []
        if user is not None:
            conditions.append(sources.of_user(user, masked=self._masked))
        return self._frame(sources.SESSIONS, since, until, conditions, columns)

    def audit(
        self,
        since: When = "30d",
        until: When = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return the audit trail by the time it was recorded.

        `at` is when it happened, where that was said. `before`, `after` and `details`
        may name people and are there in clear frames only.
        """
        return self._frame(sources.AUDIT, since, until, [], columns)

    def scores(
        self,
        since: When = "7d",
        until: When = None,
        user: str | UUID | None = None,
        columns: Sequence[str] | None = None,
    ) -> DataFrame:
        """Return the risk scores; a missing score is *unscored*, not a low risk.

        Clear frames say why (`unscored`) and hold the terms of each score.
        """
        conditions: list[Condition] = []
        if user is not None:
            conditions.append(sources.of_user(user, masked=self._masked))
        return self._frame(sources.SCORES, since, until, conditions, columns)

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
        return self._frame(sources.RATE_LIMITS, since, until, [], columns)

    def query(self, sql: str, params: Sequence[object] = ()) -> DataFrame:
        """Return the rows of your own SELECT; parameters are `$1`, `$2` and so on.

        Raises:
            InvalidInput: it is not valid SQL, or the result is too large.
            NotPermitted: the role may not read that, or the statement would write.
        """
        if not sql.strip():
            raise InvalidInput("the query is empty")
        frame, standing = self._read(sql, params, ours=False)
        self._describe(frame, "query", standing, None)
        return frame

    def _frame(
        self,
        source: Source,
        since: When,
        until: When,
        conditions: list[Condition],
        columns: Sequence[str] | None,
    ) -> DataFrame:
        masked = self._masked
        within = window(since, until, now=self._now())
        if within.since is not None:
            conditions.append(Condition(f"{source.time} >= {{}}", within.since))
        if within.until is not None:
            conditions.append(Condition(f"{source.time} < {{}}", within.until))
        relation = source.relation(masked=masked)
        listed = ", ".join(
            f'{column.masked if masked else column.clear} AS "{column.name}"'
            for column in source.chosen(columns, masked=masked)
        )
        where = [source.condition] if source.condition else []
        where += [
            condition.sql.format(f"${number}")
            for number, condition in enumerate(conditions, start=1)
        ]
        statement = " ".join(
            (
                "SELECT",
                listed,
                "FROM",
                relation,
                *(("WHERE", " AND ".join(where)) if where else ()),
                "ORDER BY",
                source.time,
            )
        )
        frame, standing = self._read(
            statement, [condition.value for condition in conditions], ours=True
        )
        self._describe(frame, source.name, standing, within)
        return frame

    def _read(
        self, statement: str, parameters: Sequence[object], *, ours: bool
    ) -> tuple[DataFrame, Standing]:
        role = ANALYST if self._masked else None
        with reading(self._url_for(), role=role, ours=ours) as reader:
            if self._max_rows is not None:
                expected = reader.estimate(statement, parameters)
                if expected > self._max_rows * _DOUBT:
                    raise InvalidInput(too_many(f"about {expected:,}"))
            table = reader.table(statement, parameters, max_rows=self._max_rows)
            return to_pandas(table), reader.standing

    def _describe(
        self,
        frame: DataFrame,
        name: str,
        standing: Standing,
        within: Window | None,
    ) -> None:
        frame.attrs.update(
            source=name,
            masked=self._masked,
            node=standing.node,
            lag_s=standing.lag_s,
            since=None if within is None or not within.since else str(within.since),
            until=None if within is None or not within.until else str(within.until),
        )
        covered = "" if within is None else f", {within}"
        self._say(f"{name}: {len(frame):,} rows{covered} ({standing.words})")
