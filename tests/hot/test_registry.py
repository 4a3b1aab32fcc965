"""Every statement of the hot path against the migrated schema, without running it."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import pq

from authkit.hot.operation import AnyOperation, Intent
from authkit.hot.registry import BY_NAME, OPERATIONS

# What a row's field may be, by the type of its column.
READS_AS: dict[str, tuple[Any, ...]] = {
    "bool": (bool,),
    "bytea": (bytes,),
    "float8": (float,),
    "inet": (IPv4Address | IPv6Address,),
    "int2": (int,),
    "int4": (int,),
    "int8": (int,),
    "interval": (timedelta,),
    "jsonb": (list[dict[str, Any]], dict[str, Any]),
    "text": (str,),
    "text[]": (list[str],),
    "timestamptz": (datetime,),
    "uuid": (UUID,),
    "uuid[]": (list[UUID],),
}

# No index serves these: they read a whole window once, for a person or a report.
SCANS = {
    "sessions.stats",
    "rate_limits.purge",
    "auth_cache.purge",
    "oauth_providers.purge",
}

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)


@pytest.fixture
def connection(database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


def type_name(connection: psycopg.Connection[Any], oid: int) -> str:
    info = connection.adapters.types[oid]
    return f"{info.name}[]" if oid == info.array_oid else info.name


def describe(
    connection: psycopg.Connection[Any], operation: AnyOperation
) -> tuple[list[str], list[tuple[str, str]]]:
    """Let the server infer every type; return its parameters and columns."""
    name = operation.name.encode()
    prepared = connection.pgconn.prepare(name, operation.sql.encode())
    assert prepared.status == pq.ExecStatus.COMMAND_OK, prepared.error_message.decode()
    told = connection.pgconn.describe_prepared(name)
    parameters = [
        type_name(connection, told.param_type(i)) for i in range(told.nparams)
    ]
    columns = [
        ((told.fname(i) or b"").decode(), type_name(connection, told.ftype(i)))
        for i in range(told.nfields)
    ]
    return parameters, columns


def without_none(annotation: Any) -> Any:
    """Drop `| None`: whether a column may be null is not in its description."""
    if isinstance(annotation, types.UnionType):
        kept = [part for part in typing.get_args(annotation) if part is not type(None)]
        union: Any = kept[0]
        for part in kept[1:]:
            union = union | part
        return union
    return annotation


def test_names_are_unique_and_of_a_family():
    assert len(BY_NAME) == len(OPERATIONS)
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", op.name) for op in OPERATIONS)


def test_every_statement_prepares_with_the_declared_types(connection):
    for operation in OPERATIONS:
        parameters, _ = describe(connection, operation)
        assert tuple(parameters) == operation.types, operation.name


def test_every_row_has_the_columns_of_its_statement(connection):
    for operation in OPERATIONS:
        _, columns = describe(connection, operation)
        if operation.row is None:
            assert columns == [], operation.name
            continue
        assert is_dataclass(operation.row), operation.name
        hints = typing.get_type_hints(operation.row)
        names = [field.name for field in fields(operation.row)]
        assert [name for name, _ in columns] == names, operation.name
        for name, column_type in columns:
            assert without_none(hints[name]) in READS_AS[column_type], (
                f"{operation.name}: {name} is {column_type}"
            )


@every_operation
def test_a_statement_names_its_columns_and_its_schema(operation: AnyOperation):
    sql = operation.sql.replace("extract(epoch FROM", "extract(")
    assert not re.search(r"SELECT\s+\*|\.\*|RETURNING\s+\*", sql)
    for table in re.findall(
        r"(?<!DISTINCT )(?:FROM|INTO|UPDATE)\s+([a-z_]+\.?[a-z_]*)", sql
    ):
        defined = re.search(rf"\b{re.escape(table)}\s+AS\s+(?:MATERIALIZED\s+)?\(", sql)
        keyword = table in {"set", "skip", "unnest"}
        assert table.startswith("authkit.") or defined or keyword, table


@every_operation
def test_a_read_changes_nothing(operation: AnyOperation):
    writes = re.search(r"\b(INSERT|UPDATE|DELETE|FOR SHARE)\b", operation.sql)
    assert (operation.intent is Intent.WRITE) == bool(writes)


@pytest.mark.parametrize(
    "operation",
    [op for op in OPERATIONS if op.family == "sessions"],
    ids=lambda o: o.name,
)
def test_a_condition_on_liveness_has_all_three_parts(operation: AnyOperation):
    parts = (
        r"revoked_at IS NULL",
        r"expires_at > clock_timestamp\(\)",
        r"last_activity \+ idle_timeout > clock_timestamp\(\)",
    )
    counts = [len(re.findall(part, operation.sql)) for part in parts]
    assert counts[1] == counts[2] <= counts[0]


def plan_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from plan_nodes(inner)


def plans(
    connection: psycopg.Connection[Any],
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each operation and the nodes of its generic plan.

    That is the plan which a prepared statement settles on.
    """
    connection.execute("SET enable_seqscan = off")
    connection.execute("SET plan_cache_mode = force_generic_plan")
    for operation in OPERATIONS:
        name = operation.name.replace(".", "_")
        declared = f"({', '.join(operation.types)})" if operation.types else ""
        connection.execute(f"PREPARE {name}{declared} AS {operation.sql}")
        nulls = ", ".join("NULL" for _ in operation.types)
        row = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {name}({nulls})")
        (explained,) = row.fetchone() or ()
        yield operation.name, list(plan_nodes(explained[0]["Plan"]))


# Sessions enough that no plan for an empty table is taken; rolled back in the end.
FILL = """
INSERT INTO authkit.users (id, email)
SELECT gen_random_uuid(), 'plan' || n || '@example.com' FROM generate_series(1, 200) n;
INSERT INTO authkit.active_sessions (id, token_digest, user_id, expires_at)
SELECT gen_random_uuid(), sha256(gen_random_uuid()::text::bytea), u.id,
  now() + interval '1 day'
FROM authkit.users AS u, generate_series(1, 20) WHERE u.email LIKE 'plan%';
INSERT INTO authkit.oauth_token_families (
  id, client_id, user_id, session_id, expires_at)
SELECT gen_random_uuid(), 'plan', user_id, id, expires_at
FROM authkit.active_sessions;
ANALYZE authkit.active_sessions, authkit.oauth_token_families
"""
# They read several rows that belong together, through the index that is for it.
TOGETHER = {
    "active_sessions_live_by_user_idx": {"sessions.create", "sessions.revoke_user"},
    "oauth_token_families_live_by_session_idx": {
        "sessions.create",
        "sessions.revoke",
        "sessions.revoke_token",
        "sessions.revoke_user",
    },
    "user_auth_cache_role_ids_idx": {"auth_cache.invalidate_role"},
}
# They list or clear away: what each may read is held by its LIMIT.
LISTS = {
    "sessions.list",
    "sessions.by_device",
    "sessions.by_ip",
    "sessions.high_risk",
    "sessions.suspicious",
    "oauth_providers.sealed_by",
}


def test_every_statement_finds_its_rows_by_a_condition_on_an_index(connection):
    with connection.transaction(force_rollback=True):
        connection.execute(FILL)
        for name, nodes in plans(connection):
            if name in SCANS or name.endswith((".purge", ".purge_records")):
                continue
            for node in nodes:
                kind = node["Node Type"]
                assert kind != "Seq Scan", f"{name}: {node['Relation Name']}"
                if "Index" in kind and name not in LISTS:
                    # Without one it would read the whole index.
                    assert node.get("Index Cond"), f"{name}: {node['Index Name']}"


def test_what_answers_a_request_finds_each_row_by_a_key_of_its_own(connection):
    unique = {
        index
        for (index,) in connection.execute(
            "SELECT c.relname FROM pg_index AS i"
            " JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indisunique"
        )
    }
    with connection.transaction(force_rollback=True):
        connection.execute(FILL)
        for name, nodes in plans(connection):
            if name in SCANS | LISTS or name.endswith((".purge", ".purge_records")):
                continue
            if name.startswith(("attempts.recent_", "attempts.failures")):
                continue
            used = {node["Index Name"] for node in nodes if "Index Name" in node}
            for index in used - unique:
                assert name in TOGETHER.get(index, ()), f"{name}: {index}"
