"""What each group role can, and above all what it can not do."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from authkit.schema.metadata import metadata
from authkit.schema.roles import ANALYST, APP, BACKUP, MAINTENANCE, ROLES

EVENT = """'{"actor":"system:t","action":"t","outcome":"succeeded"}'"""
APPEND = f"SELECT authkit.audit_append(0, convert_to({EVENT}, 'UTF8'))"
TABLES = sorted(table.name for table in metadata.tables.values())

PURGE = (
    "DELETE FROM authkit.{0} WHERE {1} IN"
    " (SELECT {1} FROM authkit.{0} LIMIT 10 FOR UPDATE SKIP LOCKED)"
)
# What such a function compares would run casts of whoever owns the table.
ATTACH = """CREATE TEMPORARY TABLE mine (role_id uuid);
    CREATE TRIGGER theirs AFTER INSERT ON mine REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION authkit.raise_versions_of_roles()"""

FORBIDDEN: list[tuple[str, str]] = [
    # The application ends and marks; it does not delete, and it does not make history.
    (APP, "DELETE FROM authkit.users"),
    (APP, "DELETE FROM authkit.active_sessions"),
    (APP, "DELETE FROM authkit.auth_attempts"),
    (APP, "DELETE FROM authkit.webauthn_credentials"),
    (APP, "DELETE FROM authkit.subject_keys"),
    (APP, "DELETE FROM authkit.oauth_auth_codes"),
    (APP, "INSERT INTO authkit.audit_logs SELECT * FROM authkit.audit_logs"),
    (APP, "UPDATE authkit.audit_logs SET action = 'x'"),
    (APP, "DELETE FROM authkit.audit_logs"),
    (APP, "UPDATE authkit.audit_chain_heads SET seq = 0"),
    (APP, "TRUNCATE authkit.auth_attempts"),
    (APP, "SELECT inner_key FROM authkit.masking_keys"),
    (APP, "SELECT * FROM authkit.attempts_masked"),
    (APP, "SELECT authkit.ensure_partitions('2030-01-01', '2030-01-01')"),
    (APP, "SELECT authkit.drop_attempt_partitions('2000-01-01')"),
    (APP, "SELECT authkit.add_partition('users','id','x','a','b',false)"),
    (APP, "CREATE TABLE authkit.mine (id int)"),
    (APP, "ALTER TABLE authkit.users DISABLE TRIGGER ALL"),
    (APP, "UPDATE authkit.alembic_version SET version_num = 'x'"),
    (APP, ATTACH),
    # An analyst computes no token, and writes nothing.
    (ANALYST, "SELECT inner_key FROM authkit.masking_keys"),
    (ANALYST, APPEND),
    (ANALYST, "SELECT authkit.ensure_partitions('2030-01-01', '2030-01-01')"),
    (ANALYST, "INSERT INTO authkit.write_keys VALUES ('k', 'applied')"),
    (ANALYST, "CREATE TABLE authkit.mine (id int)"),
    (ANALYST, ATTACH),
    # Maintenance removes what is old, and changes nothing else.
    (MAINTENANCE, "SELECT email FROM authkit.users"),
    (MAINTENANCE, "SELECT password_hash FROM authkit.user_auth_cache"),
    (MAINTENANCE, "SELECT access_token_sealed FROM authkit.oauth_token_cache"),
    (MAINTENANCE, "DELETE FROM authkit.user_auth_cache RETURNING password_hash"),
    (MAINTENANCE, "SELECT token_digest FROM authkit.active_sessions"),
    (MAINTENANCE, "DELETE FROM authkit.active_sessions RETURNING token_digest"),
    (MAINTENANCE, "SELECT token_digest FROM authkit.oauth_issued_tokens"),
    (MAINTENANCE, "SELECT derivation_salt FROM authkit.oauth_issued_tokens"),
    (MAINTENANCE, "SELECT verifier_sealed FROM authkit.oauth_state_tracking"),
    (MAINTENANCE, "SELECT nonce FROM authkit.oauth_auth_codes"),
    (MAINTENANCE, "SELECT ip FROM authkit.sessions"),
    (MAINTENANCE, "SELECT user_id FROM authkit.auth_attempts"),
    (MAINTENANCE, "SELECT user_id FROM authkit.auth_attempts_default"),
    (MAINTENANCE, "UPDATE authkit.active_sessions SET revoked_at = NULL"),
    (MAINTENANCE, "UPDATE authkit.user_roles SET role_id = gen_random_uuid()"),
    (MAINTENANCE, "INSERT INTO authkit.write_keys VALUES ('k', 'applied')"),
    (MAINTENANCE, "DELETE FROM authkit.users"),
    (MAINTENANCE, "DELETE FROM authkit.audit_logs"),
    (MAINTENANCE, "DROP TABLE authkit.auth_attempts_default"),
    (MAINTENANCE, "SELECT authkit.add_partition('users','id','x','a','b',false)"),
    (MAINTENANCE, ATTACH),
    # Backup reads.
    (BACKUP, "UPDATE authkit.users SET name = 'x'"),
    (BACKUP, "DELETE FROM authkit.active_sessions"),
    (BACKUP, "INSERT INTO authkit.write_keys VALUES ('k', 'applied')"),
    (BACKUP, APPEND),
    (BACKUP, ATTACH),
]

ALLOWED: list[tuple[str, str]] = [
    (APP, APPEND),
    (APP, "SELECT action FROM authkit.audit_logs"),
    (APP, "SELECT hash FROM authkit.audit_chain_heads"),
    (APP, "UPDATE authkit.active_sessions SET last_activity = now()"),
    (APP, "DELETE FROM authkit.rate_limit_tracking"),
    (APP, "INSERT INTO authkit.write_keys VALUES ('k', 'applied')"),
    (ANALYST, "SELECT ip_token FROM authkit.attempts_masked"),
    (ANALYST, "SELECT user_token FROM authkit.sessions_masked"),
    (ANALYST, "SELECT actor_token FROM authkit.audit_masked"),
    (MAINTENANCE, "SELECT authkit.ensure_partitions('2030-01-01', '2030-01-01')"),
    (MAINTENANCE, "SELECT authkit.drop_attempt_partitions('2000-01-01')"),
    (MAINTENANCE, PURGE.format("active_sessions", "id")),
    (MAINTENANCE, PURGE.format("rate_limit_tracking", "identifier")),
    (MAINTENANCE, PURGE.format("user_auth_cache", "user_id")),
    (MAINTENANCE, PURGE.format("oauth_token_cache", "provider_account_id")),
    (MAINTENANCE, PURGE.format("user_roles", "user_id")),
    (MAINTENANCE, PURGE.format("oauth_issued_tokens", "id")),
    (MAINTENANCE, PURGE.format("oauth_state_tracking", "state_digest")),
    (MAINTENANCE, PURGE.format("oauth_auth_codes", "code_digest")),
    (MAINTENANCE, "SELECT count(*) FROM authkit.auth_attempts_default"),
    (MAINTENANCE, PURGE.format("write_keys", "key")),
    (MAINTENANCE, APPEND),
    (BACKUP, "SELECT email FROM authkit.users"),
]


def as_role(rows: Any, role: str) -> Any:
    rows.connection.execute(f"SET LOCAL ROLE {role}")
    return rows.connection


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
def test_a_role_may_not(rows: Any, role: str, statement: str):
    connection = as_role(rows, role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize(("role", "statement"), ALLOWED)
def test_a_role_may(rows: Any, role: str, statement: str):
    as_role(rows, role).execute(statement)


@pytest.mark.parametrize("table", TABLES)
def test_an_analyst_reads_no_table(rows: Any, table: str):
    connection = as_role(rows, ANALYST)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"SELECT FROM authkit.{table}")


@pytest.mark.parametrize("table", TABLES)
def test_a_dump_reads_every_table(rows: Any, table: str):
    as_role(rows, BACKUP).execute(f"SELECT FROM authkit.{table} LIMIT 1")


def test_a_dump_reads_partitions_made_after_the_migration(rows: Any):
    rows.value("SELECT authkit.ensure_partitions('2034-04-04', '2034-04-04')")
    as_role(rows, BACKUP).execute("SELECT FROM authkit.auth_attempts_20340404")


@pytest.mark.parametrize("role", ROLES)
def test_a_group_role_cannot_log_in_and_has_no_special_right(rows: Any, role: str):
    rights = rows.connection.execute(
        "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication,"
        " rolbypassrls FROM pg_roles WHERE rolname = %s",
        [role],
    ).fetchone()
    assert rights == (False,) * 6


def test_everybody_else_may_do_nothing_with_the_schema(rows: Any):
    rows.connection.execute("CREATE ROLE authkit_stranger_test")
    connection = as_role(rows, "authkit_stranger_test")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT FROM authkit.users")


def test_no_function_of_the_schema_is_left_to_everybody(rows: Any):
    left = rows.connection.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'authkit'::regnamespace"
        " AND has_function_privilege('public', oid, 'EXECUTE')"
    ).fetchall()
    assert left == []


def test_whatever_runs_with_its_owners_rights_looks_at_temporary_objects_last(
    rows: Any,
):
    """Left out of the path, they come first (documentation, "CREATE FUNCTION")."""
    paths = rows.connection.execute(
        "SELECT proname, 'search_path=pg_catalog, pg_temp' = ANY (proconfig)"
        " FROM pg_proc WHERE pronamespace = 'authkit'::regnamespace AND prosecdef"
    ).fetchall()
    assert paths
    assert [name for name, pinned in paths if not pinned] == []
