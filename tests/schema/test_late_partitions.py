"""A partition that is made late: whoever is on the way to its rows still finds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from authkit.testing.plugin import Database

FAR = "2031-05-05"
STRAY = "019f0000-0000-7000-8000-000000000001"
ENSURE = "SELECT authkit.ensure_partitions(%s, %s)"
RECORD = (
    "INSERT INTO authkit.auth_attempts (id, occurred_at)"
    " VALUES (gen_random_uuid(), {}) RETURNING tableoid::regclass::text"
)
RECORD_FAR = RECORD.format(f"'{FAR} 12:00+00'")
SETTLE = (
    "UPDATE authkit.auth_attempts SET outcome = 'failed'"
    f" WHERE id = '{STRAY}' AND occurred_at = '{FAR} 11:00+00'"
    " RETURNING tableoid::regclass::text"
)
READ = (
    "SELECT tableoid::regclass::text FROM authkit.auth_attempts"
    f" WHERE id = '{STRAY}' AND occurred_at >= '{FAR}'"
)
APPEND = """SELECT authkit.audit_append(0, convert_to(
    '{"actor":"system:t","action":"t","outcome":"succeeded"}', 'UTF8'))"""


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def today(owner: psycopg.Connection[Any]) -> str:
    row = owner.execute("SELECT (now() AT TIME ZONE 'UTC')::date").fetchone()
    assert row is not None
    return str(row[0])


def drop(owner: psycopg.Connection[Any], table: str, day: str) -> None:
    owner.execute(f"DROP TABLE authkit.{table}_{day.replace('-', '')}")


def call(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.parametrize(
    "statement",
    [RECORD_FAR, SETTLE, READ],
    ids=["who writes one more", "who settles one", "who reads one"],
)
def test_whoever_waits_while_strays_are_moved_finds_the_new_place(
    owner: psycopg.Connection[Any], database: Database, waiting: Any, statement: str
):
    owner.execute(
        "INSERT INTO authkit.auth_attempts (id, occurred_at) VALUES (%s, %s)",
        (STRAY, f"{FAR} 11:00+00"),
    )
    with psycopg.connect(database.url) as maker:
        maker.execute(ENSURE, (FAR, FAR))
        with waiting(lambda: call(database.url, statement), maker) as acting:
            maker.commit()
            assert acting.result(20) == [("auth_attempts_20310505",)]


def test_a_login_waits_for_todays_partition_and_is_recorded_there(
    owner: psycopg.Connection[Any], database: Database, waiting: Any, today: str
):
    drop(owner, "auth_attempts", today)
    record = RECORD.format("now()")
    with psycopg.connect(database.url) as maker:
        maker.execute(ENSURE, (today, today))
        with waiting(lambda: call(database.url, record), maker) as acting:
            maker.commit()
            (place,) = acting.result(20)[0]
    assert place == f"auth_attempts_{today.replace('-', '')}"


def test_an_audit_entry_waits_for_its_months_partition_and_is_written(
    owner: psycopg.Connection[Any], database: Database, waiting: Any, today: str
):
    drop(owner, "audit_logs", today[:7])
    with psycopg.connect(database.url) as maker:
        maker.execute(ENSURE, (today, today))
        with waiting(lambda: call(database.url, APPEND), maker) as acting:
            maker.commit()
            assert len(acting.result(20)) == 1


@pytest.mark.parametrize("first", ["reads", "writes"])
def test_whoever_is_at_work_already_goes_on_while_a_partition_waits_for_them(
    owner: psycopg.Connection[Any],
    database: Database,
    waiting: Any,
    today: str,
    first: str,
):
    """A weaker lock on the parent, or one taken late, would end in a deadlock."""
    drop(owner, "auth_attempts", today)
    with psycopg.connect(database.url) as caller:
        caller.execute(
            "SELECT FROM authkit.auth_attempts"
            if first == "reads"
            else RECORD.format("now() - interval '1 day'")
        )
        ensure = (
            f"SELECT authkit.ensure_partitions('{today}'::date - 5, '{today}'::date)"
        )
        with waiting(lambda: call(database.url, ensure), caller) as making:
            caller.execute(RECORD.format("now()"))
            caller.commit()
            making.result(20)
        assert caller.execute("SELECT FROM authkit.auth_attempts_default").rowcount == 0
