"""One version of the code at work: a program of its own that obeys lines of JSON.

It is run by its path, with another checkout of authkit first on PYTHONPATH: it must
not import anything of this room, and of authkit only what every version has.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import perf_counter_ns
from typing import Any, Final, LiteralString, cast
from zlib import crc32

import psycopg

_LINE: Final = "\n"
_LAP: Final = timedelta(hours=1)
_COUNT: Final = itertools.count
_PLACES: Final = _COUNT(1_000_000, 1_000_000)
WARMUP: Final = 8  # five calls have a plan of their own, then the server decides
_RESET: LiteralString = """
SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database
                                    WHERE datname = current_database()), 0)
"""
_SPENT: LiteralString = """
SELECT coalesce(sum(calls) FILTER (WHERE toplevel), 0)::int8,
       coalesce(sum(shared_blks_hit + shared_blks_read), 0)::int8,
       coalesce(sum(wal_bytes), 0)::int8,
       coalesce(sum(wal_fpi), 0)::int8
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND query !~ 'pg_stat_statements'
"""
# Who vacuums an empty table lets the server know it to be empty, and without autovacuum
# plans made for that stay while it grows: it is left as on a server just set up.
_HELD: LiteralString = """
SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid) FROM pg_class AS c
WHERE relnamespace IN ('pg_catalog'::regnamespace, 'authkit'::regnamespace)
  AND relkind IN ('r', 'p') AND (pg_relation_size(c.oid) > 0 OR EXISTS (
    SELECT FROM pg_partition_tree(c.oid) WHERE pg_relation_size(relid) > 0))
"""
_DATED: Final = re.compile(r"_?p?\d{4,}(?:_\d+)*$")
Answer = dict[str, Any]


def prepare(url: str, *, users: int, days: int, end: str, now: str) -> Answer:
    """Migrate and seed an empty database, always to the same rows and pages."""
    from authkit.ops.migrate import upgrade
    from authkit.workload.load import seed

    until = datetime.fromisoformat(end)
    upgrade(url)
    seed(url, users=users, days=days, seed=1, end=until)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        # The world ends on a Monday, whatever today is; its sessions are as old as if
        # it had ended now, and days without attempts have no partition.
        connection.execute(
            "UPDATE authkit.active_sessions SET created_at = created_at + %(by)s,"
            " last_activity = last_activity + %(by)s,"
            " authenticated_at = authenticated_at + %(by)s,"
            " expires_at = expires_at + %(by)s, revoked_at = revoked_at + %(by)s",
            {"by": datetime.fromisoformat(now) - until},
        )
        today = datetime.now(UTC).strftime("%Y%m%d")
        for (name,) in connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'authkit.auth_attempts'::regclass"
        ).fetchall():
            found = re.search(r"\d{8}$", name)
            if found and found[0] >= until.strftime("%Y%m%d") and found[0] != today:
                connection.execute(cast(LiteralString, f"DROP TABLE {name}"))
        ((held,),) = connection.execute(_HELD).fetchall()
        for how in ("FULL", "FREEZE, ANALYZE"):
            connection.execute(cast(LiteralString, f"VACUUM ({how}) {held}"))
    return {}


class Work:
    """The operations of this version on a database of its own, on one connection."""

    def __init__(
        self, url: str, root: str, end: str, lap: int, beside: Work | None
    ) -> None:
        if beside is not None:
            _leave_behind(root)
        import authkit
        from authkit.hot._sync import statement
        from authkit.hot.registry import BY_NAME

        home = Path(authkit.__file__).resolve().parents[1]
        if home != Path(root).resolve():
            raise RuntimeError(f"imported authkit of {home}, not of {root}")
        self.operations: Mapping[str, Any] = BY_NAME
        self._statement = statement
        self.connection = _connect(url, beside)
        self._admin = psycopg.connect(url, autocommit=True)
        sys.path.insert(0, str(home / "bench"))
        sys.modules.pop("samples", None)
        samples = importlib.import_module("samples").Samples
        # A process that goes on where another one was draws what that one did not.
        until = datetime.fromisoformat(end) + lap * _LAP
        try:
            self._samples = samples(self._admin, until=until)
        except TypeError:  # of a version from before that
            self._samples = samples(self._admin)
        self._samples.random = Random(1 + lap)  # noqa: S311 # a benchmark, no secret

    def hello(self) -> Answer:
        """Return what there is to measure, and where."""
        version = self._admin.info.server_version
        return {
            "operations": list(self.operations),
            "backend": self.connection.info.backend_pid,
            "postgres": f"{version // 10_000}",
        }

    def block(self, operation: str, calls: int, slow: float = 0.0) -> Answer:
        """Time calls one by one, in nanoseconds; each is made slower by this share.

        Drawing parameters is not timed.
        """
        run, found = self._runner(operation)
        draw, connection = self._samples.draw, self.connection
        times: list[int] = []
        for _ in range(calls):
            params = draw(found)
            began = perf_counter_ns()
            run(connection, found, params)
            now = perf_counter_ns()
            until = now + (now - began) * slow  # asked of everyone: it has its cost
            while (now := perf_counter_ns()) < until:
                pass
            times.append(now - began)
        return {"times": times}

    def arrive(self, operation: str, calls: int, rate: float, seed: int) -> Answer:
        """Let calls fall due at random, whether or not the one before has ended.

        Times are from the moment at which a call was due. `busy` is the share of the
        time in which something ran: where it nears one, the queue is what is timed.
        """
        run, found = self._runner(operation)
        connection = self.connection
        chance = Random(seed)  # noqa: S311 # a benchmark, no secret
        drawn = [self._samples.draw(found) for _ in range(calls)]
        gaps = [chance.expovariate(rate) * 1e9 for _ in range(calls)]
        times: list[int] = []
        served = 0
        first = due = perf_counter_ns() + 1_000_000
        for params, gap in zip(drawn, gaps, strict=True):
            while (began := perf_counter_ns()) < due:
                pass
            run(connection, found, params)
            now = perf_counter_ns()
            served += now - began
            times.append(now - int(due))
            due += gap
        return {"times": times, "busy": served / (perf_counter_ns() - first)}

    def count(self, operation: str, calls: int) -> Answer:
        """Count what calls cost, exactly: the same database gives the same counts."""
        run, found = self._runner(operation)
        self._samples.random = Random(crc32(operation.encode()))  # noqa: S311 # a benchmark, no secret
        drawn = [self._samples.draw(found) for _ in range(WARMUP + calls)]
        for params in drawn[:WARMUP]:
            run(self.connection, found, params)
        self._admin.execute(_RESET)
        with tempfile.TemporaryFile("w+") as trace:
            self.connection.pgconn.trace(trace.fileno())
            for params in drawn[WARMUP:]:
                run(self.connection, found, params)
            self.connection.pgconn.untrace()
            trace.seek(0)
            trips = _round_trips(trace.read())
        ((statements, blocks, wal, images),) = self._admin.execute(_SPENT).fetchall()
        return {
            "round_trips": trips / calls,
            "statements": statements / calls,
            "blocks": blocks / calls,
            "wal_bytes": wal / calls,
            "full_page_images": images,
            "plan": self._plan(found),
        }

    def instruct(self, operation: str, calls: int) -> Answer:
        """Make so many calls, then twice as many, for callgrind to count.

        It was told to begin at the one function of libc and to write at the other.
        """
        run, found = self._runner(operation)
        self._samples.random = Random(crc32(operation.encode()))  # noqa: S311 # a benchmark, no secret
        drawn = [self._samples.draw(found) for _ in range(WARMUP + 3 * calls)]
        for params in drawn[:WARMUP]:
            run(self.connection, found, params)
        gc.collect()
        gc.disable()
        for part in (
            drawn[WARMUP : WARMUP + calls],
            drawn[WARMUP + calls :],
        ):
            os.getpgid(0)
            for params in part:
                run(self.connection, found, params)
            os.getsid(0)
        gc.enable()
        return {}

    def _runner(self, operation: str) -> tuple[Callable[..., Any], Any]:
        found = self.operations[operation]
        one = self._statement
        return (one.execute if found.row is None else one.fetch_all), found

    def _plan(self, operation: Any) -> str:
        self._admin.execute("SET plan_cache_mode = force_generic_plan")
        types = ", ".join(operation.types)
        of = f"({types})" if types else ""
        nulls = ", ".join("NULL" for _ in operation.types)
        given = f"({nulls})" if types else ""
        self._admin.execute(
            cast(LiteralString, f"PREPARE counted{of} AS {operation.sql}")
        )
        try:
            ((said,),) = self._admin.execute(
                f"EXPLAIN (FORMAT JSON, COSTS OFF) EXECUTE counted{given}"
            ).fetchall()
        finally:
            self._admin.execute("DEALLOCATE counted")
        return shape(said[0]["Plan"])


def _connect(url: str, beside: Work | None) -> Any:
    """Open the connection that the cluster would make: its class has the fast lane.

    Beside another version it is that one's connection, in this version's class.
    """
    from authkit.cluster._sync.connection import NodeConnection

    if beside is None:
        return NodeConnection.connect(url, autocommit=True, prepare_threshold=0)
    made = NodeConnection(beside.connection.pgconn)
    made.autocommit, made.prepare_threshold = True, 0
    return made


def _leave_behind(root: str) -> None:
    """Make this process import another version; what is imported already goes on."""
    for name in [one for one in sys.modules if one.split(".")[0] == "authkit"]:
        del sys.modules[name]
    sys.path.insert(0, root)
    importlib.invalidate_caches()
    # Each version numbers its prepared statements; on one connection they must differ.
    first = next(_PLACES)

    def counted(start: int = 0, step: int = 1) -> Iterator[int]:
        return _COUNT(start + first, step)

    itertools.count = counted  # pyright: ignore[reportAttributeAccessIssue] # for what is imported from here on


def shape(plan: Mapping[str, Any]) -> str:
    """Return a plan as one line: nodes, tables and indexes, no costs, no dates."""
    name = str(plan["Node Type"])
    if "Operation" in plan:
        name = str(plan["Operation"])
    on = plan.get("Index Name") or plan.get("Relation Name") or plan.get("CTE Name")
    if on:
        name += f" {_undated(str(on))}"
    below: list[str] = []
    for child in cast("Sequence[Mapping[str, Any]]", plan.get("Plans", ())):
        line = shape(child)
        if line not in below:  # partitions are alike, the calendar says how many
            below.append(line)
    return f"{name}({', '.join(below)})" if below else name


def _undated(name: str) -> str:
    whole = re.sub(r"_?p?\d{8}", "", name)
    return _DATED.sub("", whole).replace("_default", "")


def _round_trips(trace: str) -> int:
    """Count how often something was sent and then something was waited for."""
    trips, sent = 0, False
    for line in trace.splitlines():
        direction = line.split("\t", 2)[1] if "\t" in line else ""
        if direction == "F":
            sent = True
        elif direction == "B" and sent:
            trips, sent = trips + 1, False
    return trips


def main() -> None:
    """Obey until standard input ends; a fault is one line and the end."""
    works: list[Work] = []
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        name, version = str(order.pop("do")), int(order.pop("version", 0))
        try:
            if name == "prepare":
                answer = prepare(**order)
            elif name == "open":
                works.append(Work(**order, beside=works[0] if works else None))
                answer = works[-1].hello()
            else:
                answer = getattr(works[version], name)(**order)
        except Exception as exc:  # noqa: BLE001 # told to the one who gave the order
            # Only its first line: the others may hold a row.
            answer = {"fault": f"{type(exc).__name__}: {str(exc).partition(_LINE)[0]}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # The folder of this file must not be searched: its modules have plain names.
    here = os.path.realpath(Path(__file__).parent)
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != here]
    main()
