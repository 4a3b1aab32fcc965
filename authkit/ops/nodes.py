"""What one node says of itself, and what that means for the application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import psycopg
from psycopg.rows import class_row

from authkit.ops.connection import where
from authkit.ops.durability import judge_durability
from authkit.ops.findings import Finding, fault, good, note

OLDEST = 150000
_SETTINGS = (
    "data_checksums",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "max_connections",
    "server_encoding",
    "superuser_reserved_connections",
    "synchronous_commit",
    "synchronous_standby_names",
    "wal_level",
    "wal_log_hints",
)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node as it presents itself over one connection; `settings` are SHOW's words.

    `system_identifier` is None where the role may not ask for it.
    """

    where: str
    is_replica: bool
    version: str
    version_number: int
    system_identifier: int | None
    login: str
    is_superuser: bool
    is_encrypted: bool
    is_local: bool
    settings: Mapping[str, str]
    answer_ms: float

    @property
    def role(self) -> str:
        """What it is now; a promotion changes it."""
        return "replica" if self.is_replica else "primary"


@dataclass(frozen=True, slots=True)
class _Answer:
    is_replica: bool
    version: str
    version_number: int
    login: str
    is_superuser: bool
    is_encrypted: bool
    is_local: bool
    settings: dict[str, str | None]


def read_facts(connection: psycopg.Connection, url: str) -> NodeFacts:
    """Ask a node about itself: two round trips, nothing that needs a special right."""
    cursor = connection.cursor(row_factory=class_row(_Answer))
    began = perf_counter()
    row = cursor.execute(
        "SELECT pg_is_in_recovery() AS is_replica,"
        " current_setting('server_version') AS version,"
        " current_setting('server_version_num')::integer AS version_number,"
        " session_user::text AS login,"
        " current_setting('is_superuser') = 'on' AS is_superuser,"
        " coalesce((SELECT s.ssl FROM pg_catalog.pg_stat_ssl AS s"
        "  WHERE s.pid = pg_backend_pid()), false) AS is_encrypted,"
        " coalesce(inet_server_addr() << '127.0.0.0/8' OR inet_server_addr() = '::1',"
        "  true) AS is_local,"
        " (SELECT jsonb_object_agg(s, current_setting(s, true))"
        "  FROM unnest(%s::text[]) AS s) AS settings",
        [list(_SETTINGS)],
    ).fetchone()
    answer_ms = (perf_counter() - began) * 1000
    if row is None:
        raise psycopg.OperationalError("no answer")
    return NodeFacts(
        where=where(url),
        is_replica=row.is_replica,
        version=row.version,
        version_number=row.version_number,
        system_identifier=_system_identifier(connection),
        login=row.login,
        is_superuser=row.is_superuser,
        is_encrypted=row.is_encrypted,
        is_local=row.is_local,
        settings={name: value or "" for name, value in row.settings.items()},
        answer_ms=answer_ms,
    )


def _system_identifier(connection: psycopg.Connection) -> int | None:
    try:
        row = connection.execute(
            "SELECT system_identifier FROM pg_control_system()"
        ).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return None if row is None else int(row[0])


def judge_node(facts: NodeFacts, *, pool_max: int) -> Iterable[Finding]:
    """Say what a node's facts mean; pure."""
    at, settings = facts.where, facts.settings
    yield good(
        at,
        "answers",
        f"a {facts.role}, PostgreSQL {facts.version}, answered {facts.login}"
        f" in {facts.answer_ms:.1f} ms",
    )
    if facts.version_number < OLDEST:
        yield fault(
            at,
            "old_server",
            f"PostgreSQL {facts.version} is too old",
            "upgrade the server to PostgreSQL 15 or later",
        )
    if settings["server_encoding"] != "UTF8":
        yield fault(
            at,
            "encoding",
            f"the database is encoded in {settings['server_encoding']}",
            "create it in UTF8: authkit db setup --create does",
        )
    if settings["default_transaction_isolation"] != "read committed":
        yield fault(
            at,
            "isolation",
            f"transactions are {settings['default_transaction_isolation']} by default",
            "set default_transaction_isolation to 'read committed'",
        )
    usable = int(settings["max_connections"]) - int(
        settings["superuser_reserved_connections"]
    )
    if pool_max > usable:
        yield fault(
            at,
            "pool_too_large",
            f"one process may open {pool_max} connections, the server allows {usable}",
            "lower DATABASE_POOL_MAX or DATABASE_REPLICA_POOL_MAX, or raise"
            " max_connections",
        )
    yield from _judge_access(facts)
    if not facts.is_replica:
        yield from _judge_primary(facts)


def _judge_access(facts: NodeFacts) -> Iterable[Finding]:
    if not facts.is_encrypted and not facts.is_local:
        yield note(
            facts.where,
            "not_encrypted",
            "the connection is not encrypted",
            "add sslmode=verify-full to the URL",
        )
    if facts.is_superuser:
        yield note(
            facts.where,
            "superuser",
            f"{facts.login} is a superuser: no privilege and no guard binds it",
            "let the application log in as a member of authkit_app",
        )


def _judge_primary(facts: NodeFacts) -> Iterable[Finding]:
    at, settings = facts.where, facts.settings
    if settings["default_transaction_read_only"] == "on":
        yield fault(
            at,
            "read_only",
            "transactions are read-only by default, though this is the primary",
            "set default_transaction_read_only to off",
        )
    yield from judge_durability(at, settings)
    if settings["data_checksums"] == "off" and settings["wal_log_hints"] == "off":
        yield note(
            at,
            "no_rewind",
            "an old primary cannot be rewound to follow a new one",
            "set wal_log_hints to on, or enable checksums",
        )


def judge_topology(nodes: Sequence[NodeFacts]) -> Iterable[Finding]:
    """Say what the nodes are together; pure."""
    at = "cluster"
    primaries = [node for node in nodes if not node.is_replica]
    replicas = [node for node in nodes if node.is_replica]
    if len(primaries) == 1:
        yield good(
            at, "one_primary", f"one primary and {len(replicas)} replica(s) answered"
        )
        yield from _judge_durability(primaries[0], replicas)
    elif primaries:
        names = " and ".join(node.where for node in primaries)
        yield fault(
            at,
            "two_primaries",
            f"{len(primaries)} nodes call themselves primary: {names}",
            "stop the one that was replaced, and make it a replica again",
        )
    else:
        yield fault(
            at,
            "no_primary",
            "no primary answered: nothing can be written",
            "promote a replica, or name the primary in DATABASE_URL",
        )
    known = {n.system_identifier for n in nodes if n.system_identifier is not None}
    if len(known) > 1:
        yield fault(
            at,
            "foreign_node",
            "the nodes are not copies of one another: their system identifiers differ",
            "name nodes of one cluster in DATABASE_URL and DATABASE_REPLICA_URLS",
        )


def _judge_durability(
    primary: NodeFacts, replicas: Sequence[NodeFacts]
) -> Iterable[Finding]:
    at, settings = primary.where, primary.settings
    if not replicas:
        yield note(
            "cluster",
            "no_replica",
            "there is no replica: losing the primary is losing the service",
            "name one in DATABASE_REPLICA_URLS",
        )
    elif not settings["synchronous_standby_names"]:
        yield note(
            at,
            "asynchronous",
            "replication is asynchronous: a failover may lose acknowledged writes",
            "set synchronous_standby_names, e.g. to 'ANY 1 (*)'",
        )
    elif settings["synchronous_commit"] in {"off", "local"}:
        yield note(
            at,
            "asynchronous",
            f"synchronous_commit is {settings['synchronous_commit']}: a failover may"
            " lose acknowledged writes",
            "set synchronous_commit to on",
        )
    else:
        yield good(
            at,
            "synchronous",
            "a write is acknowledged when a replica has it:"
            f" {settings['synchronous_standby_names']}",
        )
    if replicas and settings["wal_level"] == "minimal":
        yield fault(
            at,
            "wal_level",
            "wal_level is minimal: no replica can follow",
            "set wal_level to replica and restart",
        )
