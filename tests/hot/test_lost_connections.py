"""What a call sees of a connection that the server ends in the middle of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from authkit.crypto import issue
from authkit.errors import NodeLost
from authkit.ids import uuid7

KILL_BLOCKED = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def cut_off(database, call: Callable[[], object]) -> object:
    """Run a call whose backend is killed while it waits for a lock; return its result.

    The lock is free for whatever the call does next.
    """
    with psycopg.connect(database.url) as locker, ThreadPoolExecutor() as threads:
        locker.execute("LOCK TABLE authkit.active_sessions IN ACCESS EXCLUSIVE MODE")
        running = threads.submit(call)
        with psycopg.connect(database.url, autocommit=True) as killer:
            while not killer.execute(KILL_BLOCKED).fetchall():
                assert not running.done(), running.exception()
        locker.rollback()
        return running.result()


def test_a_read_that_was_cut_off_is_answered_by_another_connection(
    kit, database, asked
):
    token = issue().token
    assert cut_off(database, lambda: kit.sessions.validate(token)) is None
    assert [(name, error) for name, *_, error in asked] == [("sessions.validate", None)]


def test_a_write_that_was_cut_off_before_its_commit_is_not_repeated_unasked(
    kit, database, asked
):
    with pytest.raises(NodeLost):
        cut_off(database, lambda: kit.sessions.touch(uuid7()))
    assert [(name, type(error)) for name, *_, error in asked] == [
        ("sessions.touch", NodeLost)
    ]
