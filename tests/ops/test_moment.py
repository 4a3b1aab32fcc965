"""The rows at a moment are those that recovery to it brings back, or are not told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date

import pytest
from psycopg import Connection, sql

from authkit.lab import Lab, cluster
from authkit.ops.backup import moment
from authkit.ops.backup.moment import mark
from authkit.ops.connection import connect
from authkit.ops.database import setup
from authkit.ops.partitions import ensure_partitions

_INSERT = "INSERT INTO authkit.write_keys (key, status) VALUES ('awaited', 'applied')"
_OLD = "authkit.auth_attempts_20260101"
_AWAITS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def test_a_commit_in_the_log_that_nobody_sees_yet_is_no_moment_to_count_at():
    # A commit stands in the log, so recovery brings it back, before any snapshot shows
    # it: here for as long as a replica that never comes is waited for.
    with cluster(replicas=0, in_memory=True, config={"fsync": "off"}) as lab:
        setup(lab.url())
        _await_replicas(lab, "nobody")
        with connect(lab.url()) as writer, connect(lab.url()) as watcher:
            pid = writer.info.backend_pid
            writing = threading.Thread(target=writer.execute, args=[_INSERT])
            writing.start()
            try:
                while (waiting := watcher.execute(_AWAITS).fetchone()) is None:
                    assert writing.is_alive()
                unseen = mark(lab.url(), patience_s=0.2)
            finally:
                _await_replicas(lab, "")
                writing.join()
        assert waiting[0] == pid
        assert unseen.rows is None
        seen = mark(lab.url())
        assert seen.rows is not None
        assert seen.rows["write_keys"] == 1


@pytest.fixture(scope="module")
def quiet() -> Iterator[Lab]:
    """A database in which nothing is written but by the test."""
    config = {"fsync": "off", "autovacuum": "off"}
    with cluster(replicas=0, in_memory=True, config=config) as lab:
        setup(lab.url())
        yield lab


@pytest.mark.parametrize(
    "change",
    [
        f"DROP TABLE {_OLD}",
        f"TRUNCATE {_OLD}",
        f"ALTER TABLE authkit.auth_attempts DETACH PARTITION {_OLD}",
    ],
)
def test_a_table_that_changes_while_it_is_counted_has_no_count_at_the_moment(
    quiet: Lab, monkeypatch: pytest.MonkeyPatch, change: str
):
    # What is gone is gone for the snapshot that was taken before, too.
    quiet.sql(f"DROP TABLE IF EXISTS {_OLD}")
    ensure_partitions(quiet.url(), since=date(2026, 1, 1))
    quiet.sql(
        "INSERT INTO authkit.auth_attempts (id, occurred_at)"
        " VALUES (gen_random_uuid(), '2026-01-01 12:00:00+00')"
    )
    changes, count = [change], moment._count

    def meanwhile(connection: Connection, table: str) -> int:
        if table == "auth_attempts" and changes:
            quiet.sql(changes.pop())
        return count(connection, table)

    monkeypatch.setattr(moment, "_count", meanwhile)
    unsure = mark(quiet.url(), patience_s=0)
    assert changes == []
    assert unsure.rows is None
    seen = mark(quiet.url())
    assert seen.rows is not None
    assert seen.rows["auth_attempts"] == 0


def _await_replicas(lab: Lab, names: str) -> None:
    with connect(lab.url()) as connection:
        connection.execute(
            sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(names)
        )
        connection.execute("SELECT pg_reload_conf()")
