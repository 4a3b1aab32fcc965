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
