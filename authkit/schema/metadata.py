"""The one metadata: the PostgreSQL schema `authkit`, with names as PostgreSQL gives."""

from __future__ import annotations

from sqlalchemy import MetaData

SCHEMA = "authkit"

# PostgreSQL's own pattern, so that a name in an error reads the same whether alembic,
# psql or a partition made it. `ck` takes the name given in the table's definition.
NAMING = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}

metadata = MetaData(schema=SCHEMA, naming_convention=NAMING)
