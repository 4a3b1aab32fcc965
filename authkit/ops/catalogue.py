"""Reads of the system catalogues, all bound to our schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from sqlalchemy import Connection, text

from authkit.schema import SCHEMA


def rows(
    connection: Connection, statement: LiteralString, **parameters: object
) -> Sequence[Any]:
    """Run a query that names its columns; `:schema` is ours."""
    return connection.execute(text(statement), {"schema": SCHEMA, **parameters}).all()
