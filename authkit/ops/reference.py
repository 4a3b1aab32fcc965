"""Reference data: the roles and permissions that every installation begins with."""

from __future__ import annotations

from sqlalchemy import Connection, text

from authkit.ops.catalogue import rows
from authkit.ops.migrate import migrations_dir

_FILE = "0001_reference.sql"


def seed_reference(connection: Connection) -> int:
    """Insert what is missing and change nothing that is there.

    A permission taken from a role stays taken: grants come with a new role only.

    Returns:
        how many roles and permissions were missing.
    """
    before = _count(connection)
    statements = (migrations_dir() / "sql" / _FILE).read_text(encoding="utf-8")
    connection.execute(text(statements))
    return _count(connection) - before


def _count(connection: Connection) -> int:
    found = rows(
        connection,
        "SELECT (SELECT count(*) FROM authkit.roles)"
        " + (SELECT count(*) FROM authkit.permissions) AS n",
    )
    return int(found[0].n)
