"""Every table, once. All stand in the PostgreSQL schema `authkit`.

`hot` and `risk` hold Core tables, `relational` declarative classes, all on one
`metadata`.
"""

from authkit.schema import hot, relational, risk
from authkit.schema.metadata import SCHEMA, metadata

__all__ = ["SCHEMA", "hot", "metadata", "relational", "risk"]
