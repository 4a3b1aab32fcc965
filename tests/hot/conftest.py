from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest

import authkit
from authkit import testing
from authkit.ids import uuid7
from authkit.settings import Settings
from authkit.testing.plugin import Database

Result = TypeVar("Result")

# Functions that go before PostgreSQL's own, because the search path says so: every
# statement of the hot path then reads a clock that only the test moves.
FROZEN = """
    CREATE SCHEMA frozen;
    CREATE TABLE frozen.clock (at timestamptz NOT NULL);
    INSERT INTO frozen.clock VALUES ('2026-11-23 12:00+00');
    CREATE FUNCTION frozen.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT at FROM frozen.clock';
    CREATE FUNCTION frozen.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT at FROM frozen.clock';
"""


@pytest.fixture(scope="module")
def database(pair, template_db) -> Iterator[Database]:
    """One database for a whole module: its tests tell their users apart."""
    name = f"hot_{uuid7().hex}"
    pair.create_database(name, template=template_db)
    pair.wait_replayed()
    yield Database(
        name,
        pair.url("primary", database=name),
        pair.url("replica", database=name),
    )
    pair.drop_database(name)


@pytest.fixture(scope="module")
def module_settings(database) -> Settings:
    """Settings of the module's database."""
    return settings_of(database)


@pytest.fixture(scope="module")
def kit(database) -> Iterator[authkit.Kit]:
    """A kit on the module's database, primary and replica."""
    with authkit.connect(settings_of(database)) as opened:
        yield opened


@pytest.fixture(scope="module")
def superuser(database) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the owner, for what no operation may do."""
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def empty(superuser) -> None:
    """Forget what the tests before this one wrote."""
    superuser.execute(
        "TRUNCATE authkit.active_sessions, authkit.sessions, authkit.auth_attempts,"
        " authkit.rate_limit_tracking"
    )


@pytest.fixture
def refused(superuser) -> Iterator[dict[str, Any]]:
    """Parts of an attempt that nothing but the server refuses."""
    table = "ALTER TABLE authkit.auth_attempts"
    superuser.execute(f"{table} ADD CONSTRAINT refused CHECK (asn <> 64496) NOT VALID")
    yield {"asn": 64496}
    superuser.execute(f"{table} DROP CONSTRAINT refused")


@pytest.fixture
def asked(kit) -> Iterator[list[tuple[Any, ...]]]:
    """Every call that reached the runner during the test."""
    calls: list[tuple[Any, ...]] = []
    stop = kit.observe(lambda *call: calls.append(call))
    yield calls
    stop()


@pytest.fixture
def add_user(superuser) -> Callable[[], UUID]:
    """Make users with nothing but an id and an address."""

    def add() -> UUID:
        user_id = uuid7()
        superuser.execute(
            "INSERT INTO authkit.users (id, email) VALUES (%s, %s)",
            (user_id, f"{user_id}@example.com"),
        )
        return user_id

    return add


@pytest.fixture
def user_id(add_user) -> UUID:
    """A user."""
    return add_user()


class Clock:
    """The server's clock, as far as the hot path is concerned."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def advance(self, span: timedelta) -> datetime:
        self.now += span
        self._connection.execute("UPDATE frozen.clock SET at = %s", (self.now,))
        return self.now


@pytest.fixture(scope="module")
def clock(superuser) -> Clock:
    """A clock that stands still until a test moves it."""
    superuser.execute(FROZEN)
    return Clock(superuser)


@pytest.fixture(scope="module")
def frozen_kit(clock, database) -> Iterator[authkit.Kit]:
    """A kit whose statements read the test's clock."""
    path = "?options=-csearch_path%3Dfrozen,pg_catalog,authkit"
    alone = replace(database, url=database.url + path, replica_url="")
    with authkit.connect(settings_of(alone)) as opened:
        yield opened


def settings_of(database: Database) -> Settings:
    """Settings that lead to a database, and to its replica if there is one."""
    return Settings.load(
        env_file=None,
        database_url=database.url,
        database_replica_urls=tuple(filter(None, [database.replica_url])),
    )


@pytest.fixture
def race() -> Callable[[Callable[[int], Result], int], list[Result]]:
    """Run a function in many threads at once; returns every answer."""
    return testing.race
