"""Maintenance bounds what grows; twice and at once it does no more than once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from authkit.errors import InvalidInput, RetryLater
from authkit.hot.registry import OPERATIONS
from authkit.ops.maintain import Maintained, Retention, maintain
from authkit.ops.purging import counted
from authkit.risk.counters import LEARN
from authkit.risk.features import FACETS
from authkit.testing import race
from authkit.testing.plugin import Database

DAY = timedelta(days=1)
AHEAD = timedelta(days=20)

TABLES = (
    "active_sessions",
    "sessions",
    "auth_attempts",
    "rate_limit_tracking",
    "oauth_state_tracking",
    "oauth_auth_codes",
    "oauth_token_families",
    "oauth_token_cache",
    "write_keys",
    "user_auth_cache",
)

# Of every table one row that has had its time and one that has not.
OLD_AND_NEW = """
    INSERT INTO authkit.users (id, email) VALUES (gen_random_uuid(), 'm@example.com');
    WITH u AS (SELECT id FROM authkit.users),
    ages (age) AS (VALUES (interval '1000 days'), (interval '0')),
    s AS (
      INSERT INTO authkit.active_sessions (
        id, token_digest, user_id, created_at, expires_at)
      SELECT gen_random_uuid(), sha256(age::text::bytea), u.id, now() - age,
             now() - age + interval '1 hour'
      FROM u, ages RETURNING id, user_id, created_at
    ), r AS (
      INSERT INTO authkit.sessions (id, user_id, created_at, expires_at)
      SELECT id, user_id, created_at, created_at + interval '1 hour' FROM s
    ), l AS (
      INSERT INTO authkit.rate_limit_tracking (
        identifier, resource, policy, theoretical_arrival_at, updated_at)
      SELECT age::text, 'api', 'p', now() - age, now() - age FROM ages
    ), o AS (
      INSERT INTO authkit.oauth_state_tracking (
        state_digest, provider, issuer, browser_binding_digest, nonce_digest,
        verifier_sealed, sealing_key_id, redirect_uri, created_at, expires_at)
      SELECT sha256(age::text::bytea), 'p', 'https://p', sha256(''), sha256(''),
             '\\x00', 'k', 'https://a', now() - age, now() - age + interval '5 min'
      FROM ages
    ), c AS (
      INSERT INTO authkit.oauth_auth_codes (
        code_digest, client_id, user_id, redirect_uri, code_challenge, family_id,
        created_at, expires_at)
      SELECT sha256(age::text::bytea), 'c', u.id, 'https://a', sha256(''),
             gen_random_uuid(), now() - age, now() - age + interval '5 min' FROM u, ages
    ), f AS (
      INSERT INTO authkit.oauth_token_families (id, client_id, created_at, expires_at)
      SELECT gen_random_uuid(), 'c', now() - age, now() - age + interval '1 d' FROM ages
    ), t AS (
      INSERT INTO authkit.oauth_token_cache (
        user_id, provider, provider_account_id, access_token_sealed, sealing_key_id,
        updated_at)
      SELECT u.id, 'p', age::text, '\\x00', 'k', now() - age FROM u, ages
    ), k AS (
      INSERT INTO authkit.write_keys (key, status, created_at)
      SELECT age::text, 'applied', now() - age FROM ages
    ), a AS (
      INSERT INTO authkit.auth_attempts (occurred_at, id, outcome)
      SELECT now() - age, gen_random_uuid(), 'failed' FROM ages
    )
    SELECT
"""


def counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    found = {}
    for table in TABLES:
        row = connection.execute(f"SELECT count(*) FROM authkit.{table}").fetchone()
        found[table] = row[0] if row else -1
    return found


def partitions(connection: psycopg.Connection[Any]) -> set[str]:
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'authkit.auth_attempts'::regclass"
    ).fetchall()
    return {row[0] for row in rows}


@pytest.fixture
def connection(database: Database):
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


def test_what_had_its_time_goes_and_everything_else_stays(
    database: Database, connection: psycopg.Connection[Any]
):
    connection.execute(OLD_AND_NEW)
    old = datetime.now(UTC).date() - timedelta(days=95)
    connection.execute("SELECT authkit.ensure_partitions(%s, %s)", (old, old + DAY * 2))
    before, there = counts(connection), partitions(connection)

    would = maintain(database.url, ahead=AHEAD, dry_run=True)
    assert counts(connection) == before
    assert partitions(connection) == there

    told: list[tuple[str, int, int]] = []
    done = maintain(
        database.url, ahead=AHEAD, batch=1, progress=lambda *parts: told.append(parts)
    )
    assert done == would
    assert done.partitions_made > 3
    assert done.partitions_dropped == tuple(
        f"auth_attempts_{old + DAY * n:%Y%m%d}" for n in range(3)
    )
    # The cached login is nobody's here.
    assert {name: n for name, n in done.purged.items() if n != 1} == {
        "cached_logins": 0
    }
    assert counts(connection) == {table: n // 2 for table, n in before.items()}
    assert ("sessions", 1, 1) in told

    again = maintain(database.url, ahead=AHEAD)
    assert again == Maintained(purged=dict.fromkeys(done.purged, 0))


def test_batches_end_and_rows_that_others_hold_are_left_to_the_next_run(
    database: Database, connection: psycopg.Connection[Any]
):
    connection.execute(
        "INSERT INTO authkit.write_keys (key, status, created_at)"
        " SELECT n::text, 'void', now() - interval '30 days'"
        " FROM generate_series(1, 25) AS n"
    )
    with psycopg.connect(database.url) as holder:
        holder.execute("SELECT FROM authkit.write_keys WHERE key = '7' FOR UPDATE")
        done = maintain(database.url, ahead=AHEAD, batch=10)
        assert done.purged["write_keys"] == 24
    assert maintain(database.url, ahead=AHEAD).purged["write_keys"] == 1


def test_of_runs_at_once_every_row_is_counted_by_one(
    database: Database, connection: psycopg.Connection[Any]
):
    connection.execute(
        "INSERT INTO authkit.write_keys (key, status, created_at)"
        " SELECT n::text, 'void', now() - interval '30 days'"
        " FROM generate_series(1, 200) AS n"
    )
    runs = race(lambda _: maintain(database.url, ahead=AHEAD, batch=10), 4)
    assert sum(run.purged.get("write_keys", 0) for run in runs) == 200
    assert sum(run.partitions_made for run in runs) > 3
    assert all(run.busy or run.purged for run in runs)
    with psycopg.connect(database.url, autocommit=True) as other:
        other.execute(
            "SELECT pg_advisory_lock(hashtextextended('authkit.maintain', 0))"
        )
        assert maintain(database.url).busy


def test_a_lock_that_somebody_holds_is_waited_for_with_a_bound(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("authkit.ops.maintain.LOCK_WAIT", "50ms")
    with psycopg.connect(database.url) as reader:
        reader.execute("LOCK TABLE authkit.auth_attempts IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(RetryLater):
            maintain(database.url, ahead=AHEAD)
    assert not maintain(database.url, ahead=AHEAD).busy


def test_the_maintenance_role_is_enough(
    database: Database, connection: psycopg.Connection[Any]
):
    connection.execute(OLD_AND_NEW)
    role = "?options=-crole%3Dauthkit_maintenance"
    with psycopg.connect(database.url + role, autocommit=True) as limited:
        assert limited.execute("SELECT current_user").fetchone() == (
            "authkit_maintenance",
        )
    place = [b"ip".ljust(16), *[None] * (len(FACETS) - 1)]
    login = (uuid4(), datetime.now(UTC) - 200 * DAY, uuid4(), place)
    psycopg.RawCursor(connection).execute(LEARN.sql, login)
    connection.execute(f"ALTER DATABASE {database.name} SET role = authkit_maintenance")
    assert maintain(database.url, ahead=AHEAD, dry_run=True).purged["sessions"] == 1
    done = maintain(database.url, ahead=AHEAD)
    assert done.purged["sessions"] == 1
    # The counts of scores too: what is too old goes, and is merged at once.
    assert (done.logins_forgotten, done.changes_merged) == (1, 2)
    assert maintain(database.url, ahead=AHEAD).changes_merged == 0


def test_every_purge_can_be_counted_beforehand():
    purges = [op for op in OPERATIONS if op.name.partition(".")[2].startswith("purge")]
    assert len(purges) >= 10
    for purge in purges:
        assert counted(purge).count("LIMIT") == 1, purge.name


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": timedelta(hours=1)}, {"codes": -DAY}, {"records": timedelta(0)}],
    ids=str,
)
def test_a_retention_shorter_than_it_must_be_is_refused(wrong: dict[str, timedelta]):
    with pytest.raises(InvalidInput):
        Retention(**wrong)
