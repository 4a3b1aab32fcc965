"""Every table, once. All stand in the PostgreSQL schema `authkit`.

`hot` holds Core tables, `relational` declarative classes, both on one `metadata`.
"""

from authkit.schema import hot, relational
from authkit.schema.metadata import SCHEMA, metadata

__all__ = ["SCHEMA", "hot", "metadata", "relational"]
