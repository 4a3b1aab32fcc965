"""The counts of scores made anew, in bulk: from the logins that are kept, or attempts.

For a database that was filled by other means than logins: a seed, an import, a restore
of the attempts alone. A few passes over `risk_logins`, no statement per login.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any, Final, LiteralString

import psycopg

from authkit.risk.counters import keys
from authkit.risk.features import FACETS, features, microseconds
from authkit.risk.history import HORIZON

Progress = Callable[[str, int, int], None]

_STEP: Final = 20_000
_BATCH: Final = 10_000
# Merging and ageing do nothing meanwhile. What else there is waits for the lock of one
# table, and for none beside it, so that nobody waits in a circle: a score reads several
# of the tables, in whatever order.
_ALONE: Final[LiteralString] = """
    SELECT pg_advisory_xact_lock(hashtextextended('authkit.risk_merge', 0)),
           pg_advisory_xact_lock(hashtextextended('authkit.risk_age', 0))
    """
_WAIT: Final[LiteralString] = """
    LOCK TABLE authkit.risk_logins IN SHARE ROW EXCLUSIVE MODE
    """
_FORGET: Final[LiteralString] = """
    DELETE FROM authkit.risk_logins WHERE occurred_at < %s
    """
# Not TRUNCATE, which every score would wait for.
_EMPTY: Final[LiteralString] = """
    WITH users AS (DELETE FROM authkit.risk_users),
         counts AS (DELETE FROM authkit.risk_counts),
         user_counts AS (DELETE FROM authkit.risk_user_counts),
         pairs AS (DELETE FROM authkit.risk_pairs)
    DELETE FROM authkit.risk_deltas
    """
_USERS: Final[LiteralString] = """
    INSERT INTO authkit.risk_users (user_id, logins)
    SELECT user_id, count(*) FROM authkit.risk_logins GROUP BY user_id
    """
# A user's counts come to lie side by side, in the order of the index.
_EDGES: Final[LiteralString] = """
    SELECT user_id
    FROM (SELECT user_id, row_number() OVER (ORDER BY user_id) AS place
          FROM authkit.risk_users) AS u
    WHERE place %% %(step)s = 0
    ORDER BY user_id
    """
_OF_USERS: Final[LiteralString] = """
    INSERT INTO authkit.risk_user_counts (user_id, key, seen)
    SELECT l.user_id, k.key, count(*)
    FROM authkit.risk_logins AS l, unnest(l.facets) AS k (key)
    WHERE (%(after)s::uuid IS NULL OR l.user_id > %(after)s)
      AND (%(upto)s::uuid IS NULL OR l.user_id <= %(upto)s) AND k.key IS NOT NULL
    GROUP BY l.user_id, k.key
    ORDER BY l.user_id, k.key
    """
_OF_ALL: Final[LiteralString] = """
    WITH counted AS (
      INSERT INTO authkit.risk_counts (key, seen)
      SELECT key, count(*)
      FROM (SELECT facets[%(place)s] AS key FROM authkit.risk_logins) AS l
      WHERE key IS NOT NULL
      GROUP BY key
      RETURNING key
    )
    UPDATE authkit.risk_totals
    SET distinct_values[%(place)s] = (SELECT count(*) FROM counted)
    """
# After the pairs: an address carries how many networks and countries it came with.
_OF_ADDRESSES: Final[LiteralString] = """
    WITH counted AS (
      INSERT INTO authkit.risk_counts (key, seen, networks, countries)
      SELECT l.key, l.seen, coalesce(p.networks, 0), coalesce(p.countries, 0)
      FROM (SELECT facets[1] AS key, count(*) AS seen FROM authkit.risk_logins
            WHERE facets[1] IS NOT NULL GROUP BY facets[1]) AS l
      LEFT JOIN (SELECT key, count(*) FILTER (WHERE place = 2) AS networks,
                        count(*) FILTER (WHERE place = 3) AS countries
                 FROM authkit.risk_pairs GROUP BY key) AS p ON p.key = l.key
      RETURNING key
    )
    UPDATE authkit.risk_totals
    SET distinct_values[1] = (SELECT count(*) FROM counted)
    """
_PAIRS: Final[LiteralString] = """
    INSERT INTO authkit.risk_pairs (key, place, above, seen)
    SELECT key, %(place)s, above, count(*)
    FROM (SELECT facets[1] AS key, facets[%(place)s] AS above
          FROM authkit.risk_logins) AS l
    WHERE key IS NOT NULL AND above IS NOT NULL
    GROUP BY key, above
    """
_TOTALS: Final[LiteralString] = """
    UPDATE authkit.risk_totals AS t
    SET logins = u.logins, users = u.users, merged_at = clock_timestamp()
    FROM (SELECT coalesce(sum(logins), 0) AS logins, count(*) AS users
          FROM authkit.risk_users) AS u
    """
_HISTORY: Final[LiteralString] = """
    SELECT user_id, occurred_at, id,
           row_number() OVER (PARTITION BY user_id, ip ORDER BY occurred_at, id) > 1,
           host(ip), asn, country, user_agent
    FROM authkit.auth_attempts AS a
    WHERE user_id IS NOT NULL AND outcome = 'succeeded' AND session_id IS NOT NULL
      AND occurred_at >= %s AND occurred_at < %s
      AND NOT EXISTS (SELECT FROM authkit.users AS u
                      WHERE u.id = a.user_id AND u.erased_at IS NOT NULL)
    ORDER BY user_id, occurred_at, id
    """
_COPY: Final[LiteralString] = """
    COPY authkit.risk_logins (user_id, occurred_at, attempt_id, facets)
    FROM STDIN (FORMAT binary)
    """


_LOOK: Final[LiteralString] = """
    ANALYZE authkit.risk_logins, authkit.risk_users, authkit.risk_user_counts,
            authkit.risk_counts, authkit.risk_pairs, authkit.risk_totals
    """


def _quiet(_phase: str, _done: int, _whole: int) -> None:
    """Show nothing."""


def rebuild(
    connection: psycopg.Connection[Any],
    until: datetime,
    progress: Progress = _quiet,
) -> int:
    """Make the counts anew from the attempts within the horizon before a time.

    In one transaction: logins that complete meanwhile wait, and scores are of the
    counts from before until it commits. A login of that time or later stays counted; an
    erased user's are left out, although their attempts are kept. What was there before
    takes room until it is vacuumed: the tables are twice their size for a while.

    Returns how many completed logins before that time are counted now.
    """
    counted = 0
    with connection.transaction():
        connection.execute(_ALONE)
        connection.execute(_WAIT)
        connection.execute(_FORGET, (until,))
        with connection.cursor(name="authkit_rebuild") as reader:
            reader.itersize = _STEP
            reader.execute(_HISTORY, (until - HORIZON, until))
            rows = iter(reader)
            while batch := list(islice(rows, _STEP)):
                _copy(connection, map(_kept, batch))
                counted += len(batch)
                progress("completed logins", counted, counted)
        recount(connection, progress)
    return counted


def upkeep(
    connection: psycopg.Connection[Any], horizon: timedelta = HORIZON
) -> tuple[int, int]:
    """Forget logins older than the horizon, then merge; returns merged, and forgotten.

    In batches, each of them a transaction of its own on an autocommit connection.
    """
    before = datetime.now(UTC) - horizon
    aged = _until_done(connection, "SELECT authkit.risk_age(%s, %s)", (before, _BATCH))
    merged = _until_done(connection, "SELECT authkit.risk_merge(%s)", (_BATCH,))
    return merged, aged


def _until_done(
    connection: psycopg.Connection[Any],
    statement: LiteralString,
    params: tuple[object, ...],
) -> int:
    done = 0
    while (row := connection.execute(statement, params).fetchone()) and row[0]:
        done += int(row[0])
    return done


def recount(connection: psycopg.Connection[Any], progress: Progress = _quiet) -> None:
    """Make every count anew from `risk_logins`; the caller holds the transaction."""
    cursor = psycopg.Cursor(connection)  # whatever kind the connection makes itself
    cursor.execute(_EMPTY)
    cursor.execute(_USERS)
    edges = [row[0] for row in cursor.execute(_EDGES, {"step": _STEP})]
    whole = len(edges) + 1 + len(FACETS)
    for done, bounds in enumerate(pairwise([None, *edges, None]), start=1):
        cursor.execute(_OF_USERS, dict(zip(("after", "upto"), bounds, strict=True)))
        progress("counts", done, whole)
    for place in (2, 3):
        cursor.execute(_PAIRS, {"place": place})
    cursor.execute(_OF_ADDRESSES)
    for place in range(2, len(FACETS) + 1):
        cursor.execute(_OF_ALL, {"place": place})
        progress("counts", len(edges) + 1 + place, whole)
    cursor.execute(_TOTALS)
    cursor.execute(_LOOK)


def _kept(row: tuple[Any, ...]) -> tuple[Any, ...]:
    user, at, attempt, again, ip, asn, country, agent = row
    facets = keys(features(ip, asn, country, agent, microseconds(at)))
    if again:  # the last facet is that of an address that is new to the user
        facets = [*facets[:-1], None]
    return user, at, attempt, facets


def _copy(connection: psycopg.Connection[Any], rows: Iterator[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(_COPY) as copy:
        copy.set_types(["uuid", "timestamptz", "uuid", "bytea[]"])
        for row in rows:
            copy.write_row(row)
