"""What the declarations promise, before any server is asked."""

from __future__ import annotations

import pytest
from sqlalchemy import Table
from sqlalchemy.orm import configure_mappers

import authkit.schema as schema
from authkit.schema import hot, metadata, risk
from authkit.schema.relational import Record, User

TABLES = sorted(metadata.tables.values(), key=lambda table: table.name)

PROMISED = {
    "active_sessions",
    "auth_attempts",
    "rate_limit_tracking",
    "user_auth_cache",
    "oauth_token_cache",
    "oauth_issued_tokens",
    "oauth_state_tracking",
    "oauth_auth_codes",
    "users",
    "accounts",
    "sessions",
    "roles",
    "permissions",
    "user_roles",
    "role_permissions",
    "webauthn_credentials",
    "audit_logs",
    "audit_chain_heads",
    "user_backup_codes",
    "user_totp",
    "subject_keys",
    "write_keys",
}


def test_every_promised_table_is_declared_in_our_schema():
    assert {table.name for table in TABLES} >= PROMISED
    assert {table.schema for table in TABLES} == {"authkit"}


def test_the_mappings_of_the_relational_tables_are_consistent():
    configure_mappers()
    assert {mapper.local_table.name for mapper in Record.registry.mappers} == {
        table.name for table in TABLES
    } - {
        table.name
        for room in (hot, risk)
        for table in vars(room).values()
        if isinstance(table, Table)
    }


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_constraint_and_index_has_a_name_that_postgresql_keeps_whole(
    table: Table,
):
    names = [str(part.name) for part in (*table.constraints, *table.indexes)]
    assert all(name != "None" and len(name) <= 63 for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_says_what_it_is_for(table: Table):
    assert table.comment


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_foreign_key_leads_an_index_or_a_key(table: Table):
    leading = {index.columns[0].name for index in table.indexes if index.columns}
    leading |= {
        next(iter(constraint.columns)).name
        for constraint in table.constraints
        if type(constraint).__name__ in {"PrimaryKeyConstraint", "UniqueConstraint"}
    }
    assert {key.parent.name for key in table.foreign_keys} <= leading


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_digest_and_keyed_hash_is_held_to_its_length(table: Table):
    secret = [
        column.name
        for column in table.columns
        if column.name.endswith(("_digest", "_fingerprint", "_thumbprint"))
        or column.name in {"subject_hash", "email_hash", "code_challenge"}
    ]
    checks = " ".join(
        str(constraint.sqltext)
        for constraint in table.constraints
        if type(constraint).__name__ == "CheckConstraint"
    )
    assert [c for c in secret if f"octet_length({c}) = 32" not in checks] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_time_has_a_time_zone(table: Table):
    naive = [
        column.name
        for column in table.columns
        if type(column.type).__name__ in {"TIMESTAMP", "DateTime"}
        and not column.type.timezone
    ]
    assert naive == []


def test_no_index_holds_the_last_activity_of_a_session():
    indexed = {
        column.name for index in hot.active_sessions.indexes for column in index.columns
    }
    assert "last_activity" not in indexed


def test_a_row_prints_as_its_key_and_nothing_else():
    shown = repr(User(email="bob@example.org", password_hash="$argon2id$secret"))
    assert shown == "User(None)"


def test_the_room_exports_what_it_says():
    assert [name for name in schema.__all__ if not hasattr(schema, name)] == []
