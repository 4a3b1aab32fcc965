"""Setting up, emptying and beginning anew; what destroys data asks first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from authkit.errors import ConfigError, InvalidInput, NotPermitted, SchemaMismatch
from authkit.lab import Lab
from authkit.ops import database as databases
from authkit.ops import migrate
from authkit.ops.connection import transaction
from authkit.ops.findings import Level
from authkit.ops.status import database_status, judge
from authkit.ops.validate import validate

STRAY = (
    "INSERT INTO authkit.auth_attempts (id, occurred_at)"
    " VALUES (gen_random_uuid(), '2050-01-01')"
)


@pytest.fixture
def missing_url(pair: Lab) -> Iterator[str]:
    yield pair.url(database="made_by_setup")
    pair.drop_database("made_by_setup")


def value(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def mark_as_precious(url: str) -> None:
    """Make a database of the tests' lab look as if it were no lab's."""
    name = value(url, "SELECT current_database()")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET authkit.lab = ''".encode())


def test_setup_makes_all_and_a_second_run_finds_nothing_to_do(missing_url: str):
    first = databases.setup(missing_url, create=True)
    assert (first.created_database, first.came_from, first.revision) == (
        True,
        None,
        "0006",
    )
    assert first.roles == (
        "authkit_analyst",
        "authkit_app",
        "authkit_backup",
        "authkit_maintenance",
    )
    assert not databases.setup(missing_url, create=True).changed
    with transaction(missing_url) as connection:
        assert {f.level for f in judge(database_status(connection))} == {Level.GOOD}
        assert [f.name for f in validate(connection)] == ["as_declared"]
    assert value(missing_url, "SHOW server_encoding") == "UTF8"


def test_setup_says_each_step(empty_url: str):
    said: list[str] = []
    databases.setup(empty_url, say=said.append)
    assert said == [
        "migrating the schema",
        "making partitions ahead",
        "seeding roles and permissions",
    ]


def test_setup_makes_partitions_as_far_as_asked(empty_url: str):
    databases.setup(empty_url, ahead=timedelta(days=30))
    with transaction(empty_url) as connection:
        partitions = database_status(connection).partitions
    assert partitions is not None
    assert partitions.last is not None
    assert partitions.first is not None
    assert (partitions.last - partitions.first).days == 31


def test_a_missing_database_is_a_sentence_that_says_how_to_make_it(missing_url: str):
    with pytest.raises(ConfigError, match="db setup --create"):
        databases.setup(missing_url)


def test_a_role_without_createdb_is_told_what_it_lacks(pair: Lab, missing_url: str):
    pair.sql("CREATE ROLE nocreate_test LOGIN PASSWORD 'pw'")
    try:
        url = make_conninfo(missing_url, user="nocreate_test", password="pw")
        with pytest.raises(NotPermitted, match="CREATEDB"):
            databases.setup(url, create=True)
    finally:
        pair.sql("DROP ROLE nocreate_test")


def test_a_role_that_may_not_migrate_changes_nothing(pair: Lab, empty_url: str):
    pair.sql("CREATE ROLE weak_test LOGIN PASSWORD 'pw'")
    try:
        url = make_conninfo(empty_url, user="weak_test", password="pw")
        with pytest.raises(NotPermitted):
            databases.setup(url)
    finally:
        pair.sql("DROP ROLE weak_test")
    assert value(empty_url, "SELECT to_regnamespace('authkit')") is None


def test_an_owner_without_special_rights_sets_up_where_the_roles_exist(
    pair: Lab, template_db: str
):
    """As on a managed service, where an administrator made the group roles."""
    assert template_db
    pair.sql("CREATE ROLE owner_test LOGIN PASSWORD 'pw'")
    pair.create_database("owned_test")
    try:
        pair.sql("ALTER DATABASE owned_test OWNER TO owner_test")
        url = make_conninfo(
            pair.url(database="owned_test"), user="owner_test", password="pw"
        )
        databases.setup(url)
        with transaction(url) as connection:
            assert [f.name for f in validate(connection)] == ["as_declared"]
    finally:
        pair.drop_database("owned_test")
        pair.sql("DROP ROLE owner_test")


def test_setup_does_not_give_back_what_an_administrator_took(database: Any):
    with psycopg.connect(database.url) as connection:
        connection.execute(
            "DELETE FROM authkit.role_permissions AS rp USING authkit.roles AS r"
            " WHERE r.id = rp.role_id AND r.name = 'moderator'"
        )
    databases.setup(database.url)
    left = "SELECT count(*) FROM authkit.role_permissions AS rp JOIN authkit.roles AS r"
    assert (
        value(database.url, f"{left} ON r.id = rp.role_id AND name = 'moderator'") == 0
    )


@pytest.mark.parametrize("act", [databases.reset, databases.clear])
def test_what_is_no_lab_and_not_named_twice_keeps_its_data(database: Any, act: Any):
    mark_as_precious(database.url)
    insert = "INSERT INTO authkit.write_keys VALUES ('kept', 'applied')"
    with psycopg.connect(database.url) as connection:
        connection.execute(insert.encode())
    for once in (
        {},
        {"database": database.name},
        {"again": database.name},
        {"database": database.name, "again": "another"},
        {"database": "another", "again": "another"},
    ):
        with pytest.raises(InvalidInput):
            act(database.url, **once)
    assert value(database.url, "SELECT key FROM authkit.write_keys") == "kept"


@pytest.mark.parametrize("act", [databases.reset, databases.clear])
def test_a_lab_naming_the_wrong_database_is_refused_all_the_same(
    database: Any, act: Any
):
    with pytest.raises(InvalidInput, match="nothing was changed"):
        act(database.url, database="another")


@pytest.mark.parametrize("act", [databases.reset, databases.clear])
@pytest.mark.parametrize("lab", [True, False])
def test_reset_and_clear_leave_a_sound_empty_database(
    database: Any, act: Any, lab: bool
):
    event = '{"actor":"system:t","action":"t","outcome":"succeeded"}'
    with psycopg.connect(database.url) as connection:
        connection.execute("INSERT INTO authkit.write_keys VALUES ('k', 'applied')")
        connection.execute(
            "SELECT authkit.audit_append(0, convert_to(%s, 'UTF8'))", [event]
        )
        connection.execute("CREATE SCHEMA authkit_world")
    if lab:
        act(database.url)
    else:
        mark_as_precious(database.url)
        act(database.url, database=database.name, again=database.name)
    left = (
        "SELECT (SELECT count(*) FROM authkit.write_keys)"
        " + (SELECT count(*) FROM authkit.audit_logs)"
        " + (SELECT sum(seq) FROM authkit.audit_chain_heads)"
    )
    assert value(database.url, left) == 0
    assert value(database.url, "SELECT count(*) FROM authkit.audit_chain_heads") == 16
    assert value(database.url, "SELECT count(*) FROM authkit.roles") == 3
    assert value(database.url, "SELECT to_regnamespace('authkit_world')") is None
    with transaction(database.url) as connection:
        assert [f.name for f in validate(connection)] == ["as_declared"]


def test_clear_asks_for_the_newest_schema(empty_url: str):
    migrate.upgrade(empty_url, "0003")
    with pytest.raises(SchemaMismatch, match="0003"):
        databases.clear(empty_url)


def test_status_names_every_table_and_its_size(migrated_url: str):
    with transaction(migrated_url) as connection:
        state = database_status(connection)
    sizes = {table.name: table for table in state.tables}
    assert set(sizes) >= {"users", "audit_logs", "risk_counts"}
    assert sizes["roles"].total_bytes > 0
    assert sizes["auth_attempts"].total_bytes > sizes["roles"].total_bytes


def test_status_of_a_replica_is_the_same_schema(database: Any):
    with transaction(database.replica_url) as connection:
        state = database_status(connection)
    assert (state.is_replica, state.schema.current) == (True, "0006")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("DROP TABLE authkit.auth_attempts_{today}", "missing_partition"),
        ("UPDATE authkit.alembic_version SET version_num = '0002'", "pending"),
        (
            "UPDATE authkit.alembic_version SET version_num = '9999'",
            "unknown_revision",
        ),
        ("DELETE FROM authkit.alembic_version", "not_migrated"),
        (STRAY, "stray_rows"),
    ],
)
def test_status_says_what_is_not_as_it_should_be(
    migrated_url: str, change: str, name: str
):
    today = value(migrated_url, "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    with transaction(migrated_url) as connection:
        connection.exec_driver_sql(change.format(today=today))
        found = {f.name for f in judge(database_status(connection))}
        connection.rollback()
    assert name in found
