"""Every table, once. All stand in the PostgreSQL schema `authkit`.

`hot` and `risk` hold Core tables, `relational` and `cases` declarative classes, all on
one `metadata`.
"""

from authkit.schema import cases, hot, relational, risk
from authkit.schema.metadata import SCHEMA, metadata

__all__ = ["SCHEMA", "cases", "hot", "metadata", "relational", "risk"]
