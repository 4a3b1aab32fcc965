"""Make a database ready, empty it, or begin anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import insert, text

from authkit.errors import ConfigError, NotPermitted
from authkit.ops import migrate
from authkit.ops.connection import connect, named, named_faults, transaction, where
from authkit.ops.guard import require_disposable
from authkit.ops.partitions import AHEAD, ensure_partitions_on
from authkit.ops.privileges import present_roles
from authkit.ops.reference import seed_reference
from authkit.schema import SCHEMA, metadata
from authkit.schema.audit import AUDIT_SHARDS, AuditChainHead
from authkit.settings import plain_url

# Where `authkit db seed` keeps the labels of its worlds; it makes the schema itself.
_WORLD = "authkit_world"

Said = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SetupSummary:
    """What `setup` did; a second run finds nothing to do."""

    created_database: bool
    came_from: str | None
    revision: str
    partitions_made: int
    reference_added: int
    roles: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """True when anything was done."""
        return bool(
            self.created_database
            or self.came_from != self.revision
            or self.partitions_made
            or self.reference_added
        )


def setup(
    url: str, *, create: bool = False, ahead: timedelta = AHEAD, say: Said | None = None
) -> SetupSummary:
    """Bring a database to where the application can use it; safe to run twice.

    Args:
        url: where it is; the role must be allowed to create a schema there.
        create: make the database first if it is missing.
        ahead: how far ahead partitions are made.
        say: is told each step before it is taken.

    Raises:
        ConfigError: there is no such database and `create` was not asked for.
        SchemaMismatch: the database is of a newer schema than this code.
        AuthkitError: the server refused; the step that failed left nothing behind.
    """
    tell = say or _silent
    created = False
    if create:
        tell(f"looking for the database {where(url)}")
        created = create_database(url)
    tell("migrating the schema")
    with transaction(url) as connection:
        came_from = migrate.current_revision(connection)
    state = migrate.upgrade(url)
    tell("making partitions ahead")
    with transaction(url) as connection:
        made = ensure_partitions_on(connection, ahead=ahead)
        tell("seeding roles and permissions")
        added = seed_reference(connection)
        roles = present_roles(connection)
    return SetupSummary(created, came_from, state.head, made, added, roles)


def create_database(url: str) -> bool:
    """Create the database that a URL names, in UTF-8; False if it is there already.

    Raises:
        NotPermitted: the role may not create databases.
        Unavailable: nothing answers there.
    """
    parts = conninfo_to_dict(plain_url(url))
    name = parts.get("dbname") or parts.get("user")
    if not name:
        raise ConfigError(["DATABASE_URL names no database to create"])
    with _maintenance(url) as connection:
        there = connection.execute(
            "SELECT FROM pg_catalog.pg_database WHERE datname = %s", [name]
        ).fetchone()
        if there is not None:
            return False
        try:
            # template0: only from it may the encoding differ from the server's.
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    sql.Identifier(str(name))
                )
            )
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return False  # somebody else made it a moment ago
        except psycopg.errors.InsufficientPrivilege as exc:
            raise NotPermitted(
                f"the role may not create the database {name}:"
                " ask an administrator, or use a role with CREATEDB"
            ) from exc
        except psycopg.Error as exc:
            raise named(exc) from exc
    return True


def reset(
    url: str, *, database: str | None = None, again: str | None = None
) -> SetupSummary:
    """Drop our schema with everything in it and set the database up anew.

    Raises:
        InvalidInput: the database is no lab's, and was not named twice.
    """
    with transaction(url) as connection:
        require_disposable(connection, database=database, again=again)
        migrate.take_lock(connection)
        connection.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
        connection.execute(text(f"DROP SCHEMA IF EXISTS {_WORLD} CASCADE"))
    return setup(url)


def clear(url: str, *, database: str | None = None, again: str | None = None) -> int:
    """Empty every table and keep the schema; roles and permissions are seeded anew.

    Returns:
        how many tables were emptied.

    Raises:
        InvalidInput: the database is no lab's, and was not named twice.
        SchemaMismatch: the database is not at the newest revision.
    """
    names = sorted(t.name for t in metadata.tables.values() if t.name != "masking_keys")
    with transaction(url) as connection:
        require_disposable(connection, database=database, again=again)
        migrate.require_newest(connection)
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        joined = ", ".join(f"{SCHEMA}.{name}" for name in names)
        connection.execute(text(f"DROP SCHEMA IF EXISTS {_WORLD} CASCADE"))
        connection.execute(text(f"TRUNCATE {joined}"))
        connection.execute(
            insert(AuditChainHead), [{"shard": n} for n in range(AUDIT_SHARDS)]
        )
        seed_reference(connection)
    return len(names)


def _silent(_sentence: str) -> None:
    """Say nothing."""


def _maintenance(url: str) -> psycopg.Connection:
    """Connect to the database that every server has, with the same credentials."""
    with named_faults():
        return connect(make_conninfo(plain_url(url), dbname="postgres"))
