"""Faults of a load run on a real server: what is told of them, and when."""

from __future__ import annotations

import os
import signal
import threading

import psycopg

from authkit.harness.faults import parse
from authkit.harness.inflict import Site, inflict
from authkit.lab import Lab
from authkit.testing.plugin import Database


def test_connections_are_told_as_dropped_when_the_last_of_them_is_gone(
    pair: Lab, database: Database
):
    left: dict[str, int] = {}

    with psycopg.connect(database.url, autocommit=True) as client:
        pid = client.info.backend_pid

        def tell(what: str, _: str) -> None:
            if what == "dropping":
                # It sees the signal a while after it was sent.
                os.kill(pid, signal.SIGSTOP)
                threading.Timer(0.1, os.kill, (pid, signal.SIGCONT)).start()
            found = pair.sql("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])
            left[what] = len(found)

        site = Site({"a": database.url}, None, tell, threading.Event())
        inflict(site, parse("at=0,kind=drop-connections"))
    assert left == {"dropping": 1, "dropped": 0}
