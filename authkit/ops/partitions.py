"""Partitions made ahead: so many that nobody has to remember tomorrow's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text

from authkit.errors import InvalidInput
from authkit.ops.catalogue import rows
from authkit.ops.connection import transaction

AHEAD = timedelta(days=14)
_LOCK_WAIT = "5s"


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Daily partitions of attempts: how far they reach, and what had none.

    `stray` counts rows in the default partition, up to 10,000: they came at a time for
    which no partition had been made.
    """

    first: date | None
    last: date | None
    missing: tuple[date, ...]
    stray: int


def ensure_partitions(
    url: str, *, ahead: timedelta = AHEAD, since: date | None = None
) -> int:
    """Make the partitions from `since` (default: yesterday, UTC) to `ahead` of today.

    Safe to run twice and at once. Waits 5 s for a lock at most. Whoever reads or writes
    the table waits while one is made whose time has begun, or whose rows are moved.

    Returns:
        how many were missing.

    Raises:
        InvalidInput: `ahead` is negative, or the span is over ten years.
        RetryLater: something held a lock for too long; nothing was made.
    """
    with transaction(url) as connection:
        return ensure_partitions_on(connection, ahead=ahead, since=since)


def ensure_partitions_on(
    connection: Connection, *, ahead: timedelta = AHEAD, since: date | None = None
) -> int:
    """Make partitions in the transaction of the caller; see `ensure_partitions`."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=1) if since is None else since
    last = today + ahead
    if ahead < timedelta(0) or last - first > timedelta(days=3660):
        raise InvalidInput("partitions are made ahead, and for ten years at most")
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
    made = connection.execute(
        text("SELECT authkit.ensure_partitions(:first, :last)"),
        {"first": first, "last": last},
    ).scalar_one()
    return int(made)


def partition_state(
    connection: Connection, *, ahead: timedelta = timedelta(days=1)
) -> PartitionState:
    """Look at the daily partitions from today to `ahead` of it."""
    names = {
        row.relname
        for row in rows(
            connection,
            "SELECT c.relname FROM pg_catalog.pg_inherits AS i"
            " JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = :schema"
            " AND c.relname ~ '^auth_attempts_[0-9]{8}$'",
        )
    }
    days = sorted(
        datetime.strptime(name.removeprefix("auth_attempts_"), "%Y%m%d")
        .replace(tzinfo=UTC)
        .date()
        for name in names
    )
    today = datetime.now(UTC).date()
    wanted = [today + timedelta(days=n) for n in range(ahead.days + 1)]
    stray = rows(
        connection,
        "SELECT count(*) AS n FROM"
        " (SELECT FROM authkit.auth_attempts_default LIMIT 10000) AS s",
    )[0].n
    return PartitionState(
        first=days[0] if days else None,
        last=days[-1] if days else None,
        missing=tuple(day for day in wanted if day not in set(days)),
        stray=int(stray),
    )
