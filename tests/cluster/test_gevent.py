"""Under gevent's patch: waits are cooperative, killed greenlets lose nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gevent", reason="gevent comes with the extra `bench`")

SCRIPT = """
from gevent import monkey
monkey.patch_all()
import os, threading
import gevent
import psycopg.waiting
from authkit.cluster import Cluster
from authkit.errors import AuthkitError
from authkit.settings import Settings

assert psycopg.waiting.wait.__name__ != "wait_c", "waits in C"
settings = Settings.load(
    None,
    database_url=os.environ["PRIMARY"],
    database_replica_urls=os.environ["REPLICA"],
    database_pool_min=1,
    database_pool_max=2,
)
done = []

def use(n):
    with cluster.writer(timeout=20) as connection:
        connection.execute("SELECT pg_sleep(0.01)")
    done.append(n)

with Cluster(settings) as cluster:
    gevent.joinall([gevent.spawn(use, n) for n in range(40)], raise_error=True)
    assert len(done) == 40

    # Greenlets that wait for a connection, or use one, are killed again and again.
    for _ in range(15):
        crowd = [gevent.spawn(use, n) for n in range(12)]
        gevent.sleep(0.005)
        gevent.killall(crowd)
    status = cluster.status()
    assert [node.in_use for node in status.nodes] == [0, 0], status
    gevent.joinall([gevent.spawn(use, n) for n in range(20)], raise_error=True)

    # Two sleeps at once take as long as one: nothing waits for the other.
    ticks = []
    def tick():
        while True:
            ticks.append(1)
            gevent.sleep(0.01)
    ticker = gevent.spawn(tick)
    with cluster.writer() as connection:
        connection.execute("SELECT pg_sleep(0.5)")
    ticker.kill()
    assert len(ticks) > 10, len(ticks)
print("sound")
"""


def test_a_patched_process_shares_loses_and_blocks_nothing(settings):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={
            **os.environ,
            "PRIMARY": settings.database_url.get_secret_value(),
            "REPLICA": settings.database_replica_urls[0].get_secret_value(),
        },
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stdout.strip() == "sound", run.stderr[-3000:]
