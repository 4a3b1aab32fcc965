"""Whatever is changed behind our back is found, and told apart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from authkit.ops import validate as checks
from authkit.ops.connection import transaction
from authkit.ops.findings import Finding, Level
from authkit.ops.privileges import differences_of_privileges
from authkit.ops.validate import Checker, validate
from authkit.schema.objects import FUNCTIONS, TRIGGERS

# What autogenerate sees, all at once: its reading of the catalogues takes a while.
TABLE_DRIFT: list[tuple[str, tuple[str, str]]] = [
    ("ALTER TABLE authkit.users ADD COLUMN x int", ("users.x", "remove_column")),
    ("ALTER TABLE authkit.users DROP COLUMN image", ("users.image", "add_column")),
    (
        "ALTER TABLE authkit.users ALTER COLUMN name TYPE varchar(9)",
        ("users.name", "modify_type"),
    ),
    (
        "ALTER TABLE authkit.active_sessions ALTER COLUMN expires_at DROP NOT NULL",
        ("active_sessions.expires_at", "modify_nullable"),
    ),
    (
        "DROP INDEX authkit.users_created_at_id_idx",
        ("users.users_created_at_id_idx", "add_index"),
    ),
    (
        "ALTER TABLE authkit.auth_attempts ALTER COLUMN outcome SET DEFAULT 'failed'",
        ("auth_attempts.outcome", "modify_default"),
    ),
    ("CREATE TABLE authkit.extra (id int)", ("extra", "remove_table")),
    ("DROP TABLE authkit.write_keys", ("write_keys", "add_table")),
]

WEAKER_REFUSE = """CREATE OR REPLACE FUNCTION authkit.refuse() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS 'BEGIN RETURN NEW; END'"""
NO_S256 = """ALTER TABLE authkit.oauth_auth_codes
    DROP CONSTRAINT oauth_auth_codes_challenge_method_s256_check"""
NO_GUARD_OF_ONE_PARTITION = """ALTER TABLE authkit.auth_attempts_default
    DISABLE TRIGGER auth_attempts_settle_once"""

DRIFT: list[tuple[Checker, str, str, str]] = [
    # Who looks, what was done, where it is found, under which name.
    (
        checks.differences_of_checks,
        NO_S256,
        "oauth_auth_codes",
        "missing_check",
    ),
    (
        checks.differences_of_triggers,
        "ALTER TABLE authkit.audit_logs DISABLE TRIGGER audit_logs_append_only",
        "audit_logs",
        "disabled_trigger",
    ),
    (
        checks.differences_of_triggers,
        NO_GUARD_OF_ONE_PARTITION,
        "auth_attempts_default",
        "disabled_trigger",
    ),
    (
        checks.differences_of_triggers,
        "DROP TRIGGER webauthn_credentials_identity ON authkit.webauthn_credentials",
        "webauthn_credentials",
        "missing_trigger",
    ),
    (
        checks.differences_of_functions,
        "DROP FUNCTION authkit.drop_attempt_partitions",
        "drop_attempt_partitions()",
        "missing_function",
    ),
    (
        checks.differences_of_functions,
        "ALTER FUNCTION authkit.audit_append SECURITY INVOKER",
        "audit_append()",
        "wrong_security",
    ),
    (
        checks.differences_of_functions,
        "ALTER FUNCTION authkit.audit_append RESET search_path",
        "audit_append()",
        "open_search_path",
    ),
    (checks.differences_of_functions, WEAKER_REFUSE, "refuse()", "wrong_body"),
    (
        checks.differences_of_views,
        "ALTER VIEW authkit.attempts_masked RESET (security_barrier)",
        "attempts_masked",
        "open_view",
    ),
    (
        checks.differences_of_views,
        "DROP VIEW authkit.audit_masked",
        "audit_masked",
        "missing_view",
    ),
    (
        checks.differences_of_partitioning,
        "DROP TABLE authkit.audit_logs_default",
        "audit_logs",
        "no_default_partition",
    ),
    (
        differences_of_privileges,
        "GRANT DELETE ON authkit.users TO authkit_app",
        "authkit_app",
        "extra_privilege",
    ),
    (
        differences_of_privileges,
        "GRANT SELECT (email) ON authkit.users TO authkit_analyst",
        "authkit_analyst",
        "extra_privilege",
    ),
    (
        differences_of_privileges,
        "GRANT SELECT ON authkit.users TO PUBLIC",
        "PUBLIC",
        "extra_privilege",
    ),
    (
        differences_of_privileges,
        "GRANT EXECUTE ON FUNCTION authkit.audit_append TO PUBLIC",
        "PUBLIC",
        "extra_privilege",
    ),
    (
        differences_of_privileges,
        "GRANT EXECUTE ON FUNCTION authkit.raise_versions_of_roles TO PUBLIC",
        "PUBLIC",
        "extra_privilege",
    ),
    (
        differences_of_privileges,
        "REVOKE SELECT ON authkit.audit_masked FROM authkit_analyst",
        "authkit_analyst",
        "missing_privilege",
    ),
    (
        validate,
        "UPDATE authkit.alembic_version SET version_num = '0003'",
        "authkit",
        "not_newest",
    ),
    (
        validate,
        "DELETE FROM authkit.alembic_version",
        "authkit",
        "not_migrated",
    ),
]


@pytest.fixture
def connection(migrated_url: str) -> Iterator[Connection]:
    with transaction(migrated_url) as connection:
        yield connection
        connection.rollback()


def found(connection: Connection) -> list[Finding]:
    return [f for f in validate(connection) if f.level is not Level.GOOD]


@pytest.mark.parametrize(("look", "change", "where", "name"), DRIFT)
def test_a_change_behind_our_back_is_found(
    connection: Connection, look: Checker, change: str, where: str, name: str
):
    connection.execute(text(change))
    assert (where, name) in {(f.where, f.name) for f in look(connection)}


def test_changes_of_tables_are_found_and_each_is_named(connection: Connection):
    for change, _ in TABLE_DRIFT:
        connection.execute(text(change))
    named = {(f.where, f.name) for f in checks.differences_of_tables(connection)}
    assert {expected for _, expected in TABLE_DRIFT} <= named


def test_every_checker_takes_part(connection: Connection):
    looking = {look for look, *_ in DRIFT} | {checks.differences_of_tables}
    assert looking == {*checks.CHECKERS, validate}


def test_nothing_is_found_where_nothing_was_changed(connection: Connection):
    assert found(connection) == []


def test_every_function_and_trigger_of_the_schema_is_looked_for(
    connection: Connection,
):
    functions = connection.execute(
        text("SELECT proname FROM pg_proc WHERE pronamespace = 'authkit'::regnamespace")
    ).scalars()
    triggers = connection.execute(
        text(
            "SELECT c.relname, t.tgname FROM pg_trigger AS t"
            " JOIN pg_class AS c ON c.oid = t.tgrelid"
            " WHERE c.relnamespace = 'authkit'::regnamespace"
            " AND NOT t.tgisinternal AND t.tgparentid = 0"
        )
    )
    assert set(functions) == set(FUNCTIONS)
    assert {tuple(row) for row in triggers} == TRIGGERS


def test_partitions_are_no_difference(connection: Connection):
    connection.execute(
        text("SELECT authkit.ensure_partitions('2035-01-01', '2035-01-03')")
    )
    assert found(connection) == []


def test_a_check_of_somebody_else_is_noted_and_no_fault(connection: Connection):
    connection.execute(
        text("ALTER TABLE authkit.users ADD CONSTRAINT theirs CHECK (name <> 'x')")
    )
    told = list(checks.differences_of_checks(connection))
    assert [(f.level, f.name) for f in told] == [(Level.NOTE, "unknown_check")]


def test_every_fault_says_what_to_do(connection: Connection):
    connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA authkit TO PUBLIC"))
    told = list(differences_of_privileges(connection))
    assert len(told) > 100
    assert all(f.advice for f in told)
