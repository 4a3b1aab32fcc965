"""The rows at a moment are those that recovery to it brings back, or are not told."""

from __future__ import annotations

import threading

from psycopg import sql

from authkit.lab import Lab, cluster
from authkit.ops.backup.moment import mark
from authkit.ops.connection import connect
from authkit.ops.database import setup

_INSERT = "INSERT INTO authkit.write_keys (key, status) VALUES ('awaited', 'applied')"
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


def _await_replicas(lab: Lab, names: str) -> None:
    with connect(lab.url()) as connection:
        connection.execute(
            sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(names)
        )
        connection.execute("SELECT pg_reload_conf()")
