"""What the servers say of the minutes of a run: cost of statements, replication lag.

A `Sampler` asks each node a few times a second on a connection of its own, outside the
cluster under test, and goes on asking one that went away.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from authkit.harness import activity
from authkit.harness.activity import Checkpoints, Waiting
from authkit.settings import plain_url

if TYPE_CHECKING:
    from psycopg import Connection

OTHER: Final = "other statements"
_EVERY_S: Final = 0.25
_STATEMENTS_EVERY: Final = 8  # samples: every two seconds
_OPTIONS: Final = "-c statement_timeout=1000 -c application_name=authkit-sampler"

_LAG: Final = """
SELECT application_name,
       greatest(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn), 0)::int8
FROM pg_stat_replication
WHERE NOT pg_is_in_recovery() AND replay_lsn IS NOT NULL
"""
# By what a node is known to the one it follows: the name of its cluster, unless its
# connection says another (PostgreSQL documentation, synchronous_standby_names).
_KNOWN_AS: Final = """
SELECT current_setting('cluster_name'), (SELECT conninfo FROM pg_stat_wal_receiver)
"""
_COUNTERS: Final = """
SELECT queryid, sum(calls)::int8, sum(total_exec_time)::float8, sum(rows)::int8,
       sum(shared_blks_hit)::int8, sum(shared_blks_read)::int8, sum(wal_bytes)::int8
FROM pg_stat_statements(false)
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND queryid IS NOT NULL
GROUP BY queryid
"""
_TEXTS: Final = """
SELECT DISTINCT ON (queryid) queryid, query
FROM pg_stat_statements(true)
WHERE queryid = ANY(%s) AND query IS NOT NULL
"""
# What the server may store as a placeholder: constants, true, false and null among
# them, the field of an extract, and since version 18 whole lists of constants.
_VARYING: Final = re.compile(
    r"'(?:[^']|'')*'|\$\d+|\b\d+(?:\.\d+)?\b|\b(?:true|false|null)\b"
    r"|(?<=extract\()\w+",
    re.IGNORECASE,
)
_LIST: Final = re.compile(r"\?(?: ?, ?\?)+ ?")
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """What one statement cost one node during the run (pg_stat_statements)."""

    node: str
    operation: str
    calls: int
    total_ms: float
    rows: int
    blocks_hit: int
    blocks_read: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class LagSample:
    """How many bytes of WAL a replica had not replayed at a moment."""

    at_s: float
    node: str
    behind_bytes: int


@dataclass(frozen=True, slots=True)
class DatabaseSide:
    """What the servers said of the same minutes."""

    statements: tuple[Statement, ...] = ()
    lag: tuple[LagSample, ...] = ()
    waits: tuple[Waiting, ...] = ()
    checkpoints: tuple[Checkpoints, ...] = ()


class Counters(NamedTuple):
    """The counters of one statement, as pg_stat_statements has them."""

    calls: float = 0
    total_ms: float = 0
    rows: float = 0
    blocks_hit: float = 0
    blocks_read: float = 0
    wal_bytes: float = 0


ZERO: Final = Counters()


def growth(before: Counters, after: Counters) -> Counters:
    """Return by how much counters grew; after a reset they grew from zero."""
    if after.calls < before.calls:
        return after
    return Counters(*(new - old for new, old in zip(after, before, strict=True)))


def fingerprint(sql: str) -> str:
    """Return a statement without its constants, comments and line breaks.

    The server stores `$1` where the text had a constant, so a statement and its stored
    form have one fingerprint.
    """
    plain = " ".join(_VARYING.sub("?", _COMMENT.sub(" ", sql)).lower().split())
    return _LIST.sub("?", plain).replace("? )", "?)")


def node_name(url: str) -> str:
    """Return a node's name as the cluster has it: host and port, no secret."""
    from psycopg.conninfo import conninfo_to_dict

    found = conninfo_to_dict(plain_url(url))
    return f"{found.get('host', 'localhost')}:{found.get('port', 5432)}"


def credentials(url: str) -> tuple[str, str, str]:
    """Return what tells one server from another: host, port and password."""
    from psycopg.conninfo import conninfo_to_dict

    found = conninfo_to_dict(plain_url(url))
    host = str(found.get("host", "localhost"))
    return (host, str(found.get("port", 5432)), str(found.get("password", "")))


def standby_names(cluster: str, conninfo: str | None) -> set[str]:
    """Return what a primary may call a replica, by what the replica says of itself.

    Args:
        cluster: the setting cluster_name, empty where there is none.
        conninfo: of its WAL receiver; None on a primary, or where it may not be read.
    """
    from psycopg.conninfo import conninfo_to_dict

    found = conninfo_to_dict(conninfo or "")
    said = found.get("application_name") or found.get("fallback_application_name")
    return {str(name) for name in (cluster, said) if name} - {"walreceiver"}


class Sampler:
    """Watches nodes from threads of its own between `start` and `stop`.

    Args:
        nodes: URL of each node by the name it has in the report.
        operations: name of each known statement by its fingerprint; any other one is
            counted as `other statements`, so that no text of it reaches a report.
        clock: wall-clock seconds.
    """

    def __init__(
        self,
        nodes: Mapping[str, str],
        operations: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._nodes = dict(nodes)
        self._operations = dict(operations)
        self._clock = clock
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lag: list[LagSample] = []
        self._waits: list[Waiting] = []
        self._checkpoints: dict[str, Checkpoints] = {}
        self._totals: dict[tuple[str, str], Counters] = {}
        self._known_as: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to watch; a node that cannot be reached is tried again and again."""
        for name, url in self._nodes.items():
            thread = threading.Thread(
                target=self._watch, args=(name, url), name=f"authkit-sampler-{name}"
            )
            thread.daemon = True
            self._threads.append(thread)
            thread.start()

    def stop(self) -> DatabaseSide:
        """End watching and return what was seen."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)
        with self._lock:
            return DatabaseSide(
                statements=tuple(
                    Statement(
                        node,
                        operation,
                        calls=int(counters.calls),
                        total_ms=counters.total_ms,
                        rows=int(counters.rows),
                        blocks_hit=int(counters.blocks_hit),
                        blocks_read=int(counters.blocks_read),
                        wal_bytes=int(counters.wal_bytes),
                    )
                    for (node, operation), counters in sorted(self._totals.items())
                    if counters.calls
                ),
                lag=tuple(
                    sorted(map(self._named, self._lag), key=lambda found: found.at_s)
                ),
                waits=tuple(sorted(self._waits, key=lambda sample: sample.at_s)),
                checkpoints=tuple(
                    self._checkpoints[n] for n in sorted(self._checkpoints)
                ),
            )

    def _named(self, sample: LagSample) -> LagSample:
        """Give a replica its node's name in place of what its primary calls it."""
        nodes = self._known_as.get(sample.node, set())
        return replace(sample, node=next(iter(nodes))) if len(nodes) == 1 else sample

    def _introduce(self, name: str, connection: Connection[Any]) -> None:
        (row,) = connection.execute(_KNOWN_AS).fetchall()
        with self._lock:
            for called in standby_names(*row):
                self._known_as.setdefault(called, set()).add(name)

    def _watch(self, name: str, url: str) -> None:
        from psycopg import Error, connect

        counted = _Counted()
        while not self._stop.is_set():
            try:
                with connect(
                    plain_url(url),
                    autocommit=True,
                    connect_timeout=2,
                    options=_OPTIONS,
                ) as connection:
                    self._sample(name, connection, counted)
            except Error:
                # It is away, and that is what a run with a fault is about: the rest
                # of the report says so. Ask again.
                self._stop.wait(_EVERY_S)

    def _sample(
        self, name: str, connection: Connection[Any], counted: _Counted
    ) -> None:
        tick = 0
        self._introduce(name, connection)
        first = activity.checkpoints(connection)
        while True:
            last = self._stop.is_set()
            at = self._clock()
            for replica, behind in connection.execute(_LAG).fetchall():
                with self._lock:
                    self._lag.append(LagSample(at, str(replica), int(behind)))
            waiting = activity.waits(connection, name, at)
            with self._lock:
                self._waits.extend(waiting)
            if tick % _STATEMENTS_EVERY == 0 or last:
                self._count(name, connection, counted)
                now = activity.checkpoints(connection)
                self._checked(name, first, now)
                first = now
            if last:
                return
            tick += 1
            self._stop.wait(_EVERY_S)

    def _checked(
        self, name: str, before: Sequence[float], after: Sequence[float]
    ) -> None:
        """Add the checkpoints between two looks at one life of a server."""
        known = self._checkpoints.get(name, Checkpoints(name, 0, 0.0, 0.0))
        with self._lock:
            self._checkpoints[name] = Checkpoints(
                name,
                known.count + int(after[0] - before[0]),
                known.write_ms + after[1] - before[1],
                known.sync_ms + after[2] - before[2],
            )

    def _count(self, name: str, connection: Connection[Any], counted: _Counted) -> None:
        from psycopg import errors

        if counted.missing:
            return
        try:
            rows = connection.execute(_COUNTERS).fetchall()
        except (errors.UndefinedFunction, errors.ObjectNotInPrerequisiteState):
            counted.missing = True  # the server was started without the extension
            return
        now = {int(row[0]): Counters(*row[1:]) for row in rows}
        unnamed = [one for one in now if one not in counted.names]
        if unnamed:
            for one, text in connection.execute(_TEXTS, (unnamed,)).fetchall():
                counted.names[int(one)] = self._operations.get(fingerprint(text), OTHER)
        if counted.last is not None:
            for one, counters in now.items():
                grown = growth(counted.last.get(one, ZERO), counters)
                key = (name, counted.names.get(one, OTHER))
                with self._lock:
                    total = self._totals.get(key, ZERO)
                    self._totals[key] = Counters(
                        *(a + b for a, b in zip(total, grown, strict=True))
                    )
        counted.last = now


@dataclass(slots=True)
class _Counted:
    """What one node's counters were at the last look, kept over reconnects."""

    last: dict[int, Counters] | None = None
    names: dict[int, str] = field(default_factory=dict[int, str])
    missing: bool = False
