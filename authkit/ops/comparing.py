"""What a comparison of a database with the tables in code looks at, and what it leaves.

Alembic's environment, new revisions and `authkit db validate` must agree on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, text

from authkit.schema import SCHEMA

_VERSION_TABLE = "alembic_version"


def context_options() -> Mapping[str, Any]:
    """Return what the environment and every comparison must agree on."""
    return {
        "include_schemas": True,
        "version_table": _VERSION_TABLE,
        "version_table_schema": SCHEMA,
        "compare_type": True,
        "compare_server_default": True,
    }


def names_to_compare(connection: Connection) -> Callable[..., bool]:
    """Return the filter of autogenerate: our schema alone, and no partition of it.

    Partitions are made and dropped at run time; the metadata knows their parents.
    """
    partitions = frozenset(
        connection.execute(
            text(
                "SELECT c.relname FROM pg_catalog.pg_class AS c"
                " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE n.nspname = :schema AND c.relispartition"
            ),
            {"schema": SCHEMA},
        ).scalars()
    )

    def include(
        name: str | None, type_: str, _parents: Mapping[str, str | None]
    ) -> bool:
        if type_ == "schema":
            return name == SCHEMA
        return not (type_ == "table" and name in partitions)

    return include
