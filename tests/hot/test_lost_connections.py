"""What a call sees of a connection that the server ends in the middle of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import authkit
from authkit.crypto import issue
from authkit.errors import InDoubt, NodeLost
from authkit.ids import uuid7
from authkit.settings import Settings

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


@pytest.mark.parametrize(
    ("prepared", "outcome"), [(False, NodeLost), (True, InDoubt)], ids=["new", "known"]
)
def test_a_write_that_was_cut_off_is_not_repeated_unasked(database, prepared, outcome):
    """What was not prepared yet cannot have happened; anything else is in doubt."""
    single = Settings.load(
        None,
        database_url=database.url,
        database_pool_min=1,
        database_pool_max=1,
    )
    with authkit.connect(single) as kit:
        if prepared:
            kit.sessions.touch(uuid7())
        asked: list[tuple[str, type]] = []
        kit.observe(lambda name, _n, _r, _s, error: asked.append((name, type(error))))
        with pytest.raises(outcome):
            cut_off(database, lambda: kit.sessions.touch(uuid7()))
    assert asked == [("sessions.touch", outcome)]
