"""psycopg waiting in greenlets: in a process of its own, because gevent patches it."""

from __future__ import annotations

import subprocess
import sys

WAITS = """
import os, sys
from gevent import monkey
monkey.patch_all()
import gevent, psycopg
from gevent.event import Event
from psycopg.generators import execute
from authkit.harness import greenlets
greenlets.install()

def connect():
    return psycopg.connect(sys.argv[1], autocommit=True)

with connect() as holder, connect() as other:
    # A greenlet that waits for a lock leaves the process to the others.
    holder.execute("SELECT pg_advisory_lock(7)")
    waiting = gevent.spawn(other.execute, "SELECT pg_advisory_lock(7)")
    while holder.execute("SELECT 1 FROM pg_locks WHERE NOT granted").rowcount != 1:
        gevent.idle()
    holder.execute("SELECT pg_advisory_unlock(7)")
    print("others ran:", waiting.get().rowcount)
    # More than the buffers of a socket hold goes out in parts.
    text = "x" * 20_000_000
    print("sent:", other.execute("SELECT length(%s)", (text,)).fetchone()[0])
with connect() as holder, connect() as other:
    # A limit of time holds.
    holder.execute("SELECT pg_advisory_lock(9)")
    other.pgconn.send_query(b"SELECT pg_advisory_lock(9)")
    try:
        other.wait(execute(other.pgconn), timeout=0.05)
    except psycopg.errors._WaitTimeout:
        print("gave up")
    # A greenlet whose socket somebody closes is told, and does not wait for ever.
    def wait():
        try:
            other.wait(execute(other.pgconn))
        except psycopg.OperationalError as exc:
            return type(exc).__name__
    waiting = gevent.spawn(wait)
    gevent.idle()
    os.close(other.pgconn.socket)
    print("closed:", waiting.get())
    os._exit(0)
"""


def test_a_greenlet_waits_for_a_server_alone_and_not_for_ever(pair):
    ran = subprocess.run(
        [sys.executable, "-u", "-c", WAITS, pair.url()],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout.splitlines() == [
        "others ran: 1",
        "sent: 20000000",
        "gave up",
        "closed: OperationalError",
    ], ran.stderr
