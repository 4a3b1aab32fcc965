"""Growth, bounded: partitions made and dropped, old rows purged, scores aged.

Run it daily, from cron or a timer. It is safe to run twice, and two at once share
nothing: the second one finds the advisory lock taken and leaves. Each batch is a
transaction of its own, so a run that was stopped has lost nothing. After each it rests
for several times as long as that took: on a busy server a purge takes its time, and
callers do not wait for it (`authkit drill purge` measures what they notice).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from types import MappingProxyType
from typing import Final, LiteralString

import psycopg

from authkit.errors import InvalidInput
from authkit.figures import Figure, Report, figure
from authkit.hot import (
    auth_cache,
    inputs,
    oauth_codes,
    oauth_states,
    oauth_tokens,
    rate_limits,
    retention,
    session_views,
)
from authkit.hot.operation import AnyOperation
from authkit.ops.connection import connect, member_of, named_faults
from authkit.ops.partitions import AHEAD
from authkit.ops.purging import BATCH, REST, Progress, count, purge
from authkit.risk.history import HORIZON
from authkit.risk.recount import upkeep
from authkit.schema.roles import MAINTENANCE

LOCK_WAIT: LiteralString = "5s"
# A purge that a crash undid is done by the next run, so nobody waits for a disk or a
# standby; and counting leaves the other cores alone.
_GENTLE: Final[tuple[LiteralString, ...]] = (
    "SET synchronous_commit = off",
    "SET max_parallel_workers_per_gather = 0",
)
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended('authkit.maintain', 0))"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtextextended('authkit.maintain', 0))"
_ENSURE: Final = "SELECT authkit.ensure_partitions(%s, %s)"
_MISSING: Final = """
    SELECT count(*) FILTER (WHERE to_regclass(
             'authkit.auth_attempts_' || to_char(d, 'YYYYMMDD')) IS NULL)
         + count(DISTINCT to_char(d, 'YYYYMM')) FILTER (WHERE to_regclass(
             'authkit.audit_logs_' || to_char(d, 'YYYYMM')) IS NULL)
    FROM generate_series(%s::timestamp, %s::timestamp, interval '1 day') AS d
"""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept; none of it for ever by default. The audit trail stays.

    Args:
        attempts: attempts to authenticate, in whole days of UTC.
        sessions: sessions after they expired; what listing and validating reads.
        records: records of sessions after they expired, for people who look back.
        limits: limiter keys that say nothing any more.
        logins: logins at providers that nobody came back from.
        codes: codes after they expired; a replay is recognised for as long.
        tokens: families of tokens after they ended.
        provider_tokens: providers' tokens that nobody refreshed.
        write_keys: idempotency keys; a doubt can be resolved for as long.

    Raises:
        InvalidInput: one is shorter than what it must outlive.
    """

    attempts: timedelta = timedelta(days=90)
    sessions: timedelta = session_views.DEFAULT_KEEP
    records: timedelta = timedelta(days=400)
    limits: timedelta = timedelta(days=1)
    logins: timedelta = timedelta(days=1)
    codes: timedelta = timedelta(days=1)
    tokens: timedelta = timedelta(days=7)
    provider_tokens: timedelta = timedelta(days=400)
    write_keys: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        if self.attempts < timedelta(days=1):
            raise InvalidInput("attempts are kept for a day at least")
        for name in ("sessions", "limits", "logins", "codes", "tokens", "write_keys"):
            inputs.span(getattr(self, name), f"time to keep {name}", zero=True)
        if self.records < self.sessions:
            raise InvalidInput("a session's record is kept as long as the session")
        if self.provider_tokens < timedelta(days=1):
            raise InvalidInput("providers' tokens are kept for a day at least")


DEFAULT_RETENTION: Final = Retention()


@dataclass(frozen=True, slots=True)
class Maintained:
    """What a run did, or would do; nothing at all where another one was running."""

    partitions_made: int = 0
    partitions_dropped: tuple[str, ...] = ()
    purged: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    changes_merged: int = 0
    logins_forgotten: int = 0
    busy: bool = False

    @property
    def figures(self) -> tuple[Figure, ...]:
        """One figure for each thing that was done."""
        return (
            figure("partitions_made", self.partitions_made, "partitions"),
            figure("partitions_dropped", len(self.partitions_dropped), "partitions"),
            *(
                figure(f"purged_{name}", rows, "rows")
                for name, rows in self.purged.items()
            ),
            figure("risk_changes_merged", self.changes_merged, "logins"),
            figure("risk_logins_forgotten", self.logins_forgotten, "logins"),
        )


def maintain(
    url: str,
    *,
    retention_: Retention = DEFAULT_RETENTION,
    ahead: timedelta = AHEAD,
    horizon: timedelta = HORIZON,
    batch: int = BATCH,
    rest: float = REST,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Maintained:
    """Make partitions ahead, drop old ones, purge the rest, keep the counts of scores.

    Args:
        url: of the primary and not of a pooler, which would lose the lock on the way;
            the role `authkit_maintenance` is enough.
        retention_: how long what is kept.
        ahead: how far partitions reach.
        horizon: how far back the counts of login scores reach.
        batch: rows in one transaction.
        rest: after each, in times of what it took; 0 is as fast as it goes.
        dry_run: look and count, and change nothing; scores are left out.
        progress: told of each part, how much of it is done and of how much.

    Raises:
        InvalidInput: `ahead` is negative or over ten years, or `batch` out of range.
        RetryLater: something held a table for over 5 s; what was done stays.
    """
    inputs.count(batch, "rows in a batch", low=1, high=100_000)
    if not timedelta(0) <= ahead <= timedelta(days=3660):
        raise InvalidInput("partitions are made ahead, and for ten years at most")
    tell = progress or _quiet
    with (
        named_faults(enough=member_of(MAINTENANCE)),
        connect(url) as connection,
        _alone(connection) as alone,
    ):
        if not alone:
            return Maintained(busy=True)
        connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
        for setting in _GENTLE:
            connection.execute(setting)
        made = _make(connection, ahead, dry_run=dry_run)
        tell("partitions made", made, made)
        dropped = _drop(connection, retention_.attempts, dry_run=dry_run)
        tell("dropped", len(dropped), len(dropped))
        purged: dict[str, int] = {}
        for name, (operation, params) in _purges(retention_).items():
            if dry_run:
                purged[name] = count(connection, operation, params)
            else:
                purged[name] = purge(
                    connection, operation, params, batch, rest, name, tell
                )
        # Who may maintain may call their upkeep, and read none of them: nor count.
        merged, forgotten = (0, 0) if dry_run else upkeep(connection, horizon)
        tell("scores", merged + forgotten, merged + forgotten)
        return Maintained(made, dropped, MappingProxyType(purged), merged, forgotten)


def report(
    url: str,
    *,
    retention_: Retention = DEFAULT_RETENTION,
    ahead: timedelta = AHEAD,
    horizon: timedelta = HORIZON,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> tuple[Maintained, Report]:
    """Run `maintain`, whose arguments and errors these are, and put it in figures.

    Figures count partitions, rows and logins; `extra` says whether it was a dry
    run, whether another run held the lock (`busy`), and which partitions were dropped.
    """
    started, began = datetime.now(UTC), perf_counter()
    done = maintain(
        url,
        retention_=retention_,
        ahead=ahead,
        horizon=horizon,
        dry_run=dry_run,
        progress=progress,
    )
    extra: dict[str, object] = {
        "dry_run": dry_run,
        "busy": done.busy,
        "dropped": list(done.partitions_dropped),
    }
    spent = perf_counter() - began
    return done, Report("db maintain", started, spent, done.figures, extra=extra)


def _purges(
    keep: Retention,
) -> dict[str, tuple[AnyOperation, tuple[timedelta, ...]]]:
    """What is purged, in an order in which nothing that is kept loses what it needs."""
    return {
        "attempts": (retention.STRAY_ATTEMPTS, (keep.attempts,)),
        "sessions": (session_views.PURGE, (keep.sessions,)),
        "session_records": (retention.RECORDS, (keep.records,)),
        "rate_limits": (rate_limits.PURGE, (keep.limits,)),
        "cached_logins": (auth_cache.PURGE, ()),
        "oauth_logins": (oauth_states.PURGE, (keep.logins,)),
        "oauth_codes": (oauth_codes.PURGE, (keep.codes,)),
        "token_families": (oauth_tokens.PURGE, (keep.tokens,)),
        "provider_tokens": (retention.PROVIDER_TOKENS, (keep.provider_tokens,)),
        "write_keys": (retention.WRITE_KEYS, (keep.write_keys,)),
    }


@contextmanager
def _alone(connection: psycopg.Connection) -> Generator[bool]:
    """Hold the advisory lock for the block; False where another run holds it."""
    row = connection.execute(_LOCK).fetchone()
    if row is None or not row[0]:
        yield False
        return
    try:
        yield True
    finally:
        if not connection.broken:
            connection.execute(_UNLOCK)


def _make(connection: psycopg.Connection, ahead: timedelta, *, dry_run: bool) -> int:
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=1), today + ahead
    query: LiteralString = _MISSING if dry_run else _ENSURE
    row = connection.execute(query, (first, last)).fetchone()
    return 0 if row is None else int(row[0])


def _drop(
    connection: psycopg.Connection, keep: timedelta, *, dry_run: bool
) -> tuple[str, ...]:
    """Drop, a partition at a time, so that nobody waits for more than one."""
    before = (datetime.now(UTC) - keep).date()
    rows = connection.execute(
        """
        SELECT c.relname FROM pg_catalog.pg_inherits AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'authkit.auth_attempts'::regclass
          AND c.relname ~ '^auth_attempts_[0-9]{8}$'
          AND substr(c.relname, 15) < %s
        ORDER BY c.relname
        """,
        (f"{before:%Y%m%d}",),
    ).fetchall()
    doomed = tuple(str(row[0]) for row in rows)
    if dry_run:
        return doomed
    for name in doomed:
        day = date.fromisoformat(name[-8:]) + timedelta(days=1)
        connection.execute("SELECT * FROM authkit.drop_attempt_partitions(%s)", (day,))
    return doomed


def _quiet(_phase: str, _done: int, _whole: int) -> None:
    """Say nothing."""
