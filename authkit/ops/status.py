"""Where a database stands: its revision, its partitions, its tables and their size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from authkit.ops.catalogue import rows
from authkit.ops.connection import member_of
from authkit.ops.findings import Finding, fault, good, note
from authkit.ops.migrate import SchemaVersion, version
from authkit.ops.partitions import PartitionState, partition_state
from authkit.ops.privileges import present_roles
from authkit.schema.roles import APP, BACKUP, MAINTENANCE, ROLES

# Who may look at the state of the database.
ENOUGH = member_of(APP, MAINTENANCE, BACKUP)


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table, all partitions together; `rows` is the planner's estimate.

    -1 rows: never analysed.
    """

    name: str
    rows: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """What `authkit db status` shows; `partitions` is None before any migration."""

    database: str
    postgres: str
    is_replica: bool
    schema: SchemaVersion
    roles: tuple[str, ...]
    partitions: PartitionState | None
    tables: tuple[TableSize, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


def database_status(connection: Connection) -> DatabaseStatus:
    """Look at a database; changes nothing and works on a replica."""
    here = connection.execute(
        text(
            "SELECT current_database() AS name,"
            " current_setting('server_version') AS version,"
            " pg_is_in_recovery() AS is_replica"
        )
    ).one()
    schema = version(connection)
    migrated = schema.current is not None
    return DatabaseStatus(
        database=str(here.name),
        postgres=str(here.version),
        is_replica=bool(here.is_replica),
        schema=schema,
        roles=present_roles(connection),
        partitions=partition_state(connection) if migrated else None,
        tables=tuple(_sizes(connection)),
    )


def judge(status: DatabaseStatus) -> tuple[Finding, ...]:
    """Say what a status means; pure."""
    return (*_judge_schema(status), *_judge_partitions(status))


def _judge_schema(status: DatabaseStatus) -> Iterable[Finding]:
    where, schema = status.database, status.schema
    if schema.current is None:
        yield fault(where, "not_migrated", "has no authkit schema", "authkit db setup")
    elif schema.is_head:
        yield good(where, "newest", f"is at the newest revision, {schema.head}")
    elif schema.pending:
        yield fault(
            where,
            "pending",
            f"is at revision {schema.current};"
            f" {len(schema.pending)} to come: {', '.join(schema.pending)}",
            "authkit db migrate",
        )
    else:
        yield fault(
            where,
            "unknown_revision",
            f"is at revision {schema.current}, which this authkit does not know",
            "upgrade authkit",
        )
    missing = [role for role in ROLES if role not in status.roles]
    if missing and schema.current is not None:
        yield fault(
            where, "missing_role", f"lacks {', '.join(missing)}", "authkit db setup"
        )


def _judge_partitions(status: DatabaseStatus) -> Iterable[Finding]:
    partitions = status.partitions
    if partitions is None:
        return
    where = "auth_attempts"
    if partitions.missing:
        days = ", ".join(day.isoformat() for day in partitions.missing)
        yield fault(
            where,
            "missing_partition",
            f"has no partition for {days}",
            "authkit db setup",
        )
    else:
        yield good(
            where,
            "partitions_ahead",
            f"has daily partitions from {partitions.first} to {partitions.last}",
        )
    if partitions.stray:
        some = "at least 10000" if partitions.stray >= 10_000 else partitions.stray
        yield note(
            where,
            "stray_rows",
            f"holds {some} rows in its default partition",
            "authkit db setup moves those of days that have a partition to come",
        )


def _sizes(connection: Connection) -> Iterable[TableSize]:
    for row in rows(
        connection,
        "SELECT c.relname AS name,"
        " sum(greatest(leaf.reltuples, 0))::bigint AS rows,"
        " bool_and(leaf.reltuples < 0) AS unknown,"
        " sum(pg_total_relation_size(leaf.oid))::bigint AS total_bytes"
        " FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_class AS leaf ON leaf.oid = c.oid AND c.relkind = 'r'"
        "  OR leaf.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)"
        " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p')"
        " AND NOT c.relispartition AND c.relname <> 'alembic_version'"
        " GROUP BY c.relname ORDER BY c.relname",
    ):
        yield TableSize(row.name, -1 if row.unknown else row.rows, row.total_bytes)
