"""Calls one after the other, on a connection that lies ready: lost, or given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import psycopg
import pytest

import authkit
from authkit.crypto import issue
from authkit.errors import InDoubt
from authkit.settings import Settings
from authkit.testing.waiting import until

ALWAYS = timedelta(0)
KILL = "SELECT pg_terminate_backend(pid, 10000)"
BLOCKED = """
    FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def single(database) -> Settings:
    """One connection: whoever calls again gets the one that was just in use."""
    return Settings.load(
        None, database_url=database.url, database_pool_min=1, database_pool_max=1
    )


def killed(connection: psycopg.Connection) -> bool:
    """End whoever waits for a lock; tell whether anybody did."""
    return bool(connection.execute(KILL + BLOCKED).fetchall())


def told_by(kit) -> list[tuple[str, type[BaseException] | None]]:
    """Return what grows with each call: the role that served it, and its error."""
    told: list[tuple[str, type[BaseException] | None]] = []

    def note(
        _operation: str, _node: str, role: str, _s: float, error: BaseException | None
    ) -> None:
        told.append((role, None if error is None else type(error)))

    kit.observe(note)
    return told


def lost_under_way(database, call: Callable[[], object]) -> int:
    """Call until the backend of one call was killed; return how many were made."""
    made = 0
    begun, ended = threading.Event(), threading.Event()

    def calls() -> int:
        nonlocal made
        while not ended.is_set():
            call()
            made += 1
            begun.set()
        return made

    with ThreadPoolExecutor() as threads, psycopg.connect(database.url) as locker:
        running = threads.submit(calls)
        assert begun.wait(30)
        locker.execute("LOCK TABLE authkit.active_sessions IN ACCESS EXCLUSIVE MODE")
        with psycopg.connect(database.url, autocommit=True) as killer:
            try:
                until(partial(killed, killer), "a call that waits")
            finally:
                ended.set()
                locker.rollback()
        return running.result(30)


def test_a_read_lost_under_way_is_answered_by_another_connection(database, single):
    token = issue().token
    with authkit.connect(single) as kit:
        assert lost_under_way(database, lambda: kit.sessions.validate(token)) > 1
        status = kit.cluster.status().nodes[0]
    assert status.in_use == 0


def test_a_write_lost_under_way_is_in_doubt_and_not_repeated(
    database, single, kit, user_id
):
    made = kit.sessions.create(user_id)
    with authkit.connect(single) as own:
        told = told_by(own)
        with pytest.raises(InDoubt):
            lost_under_way(database, lambda: own.sessions.touch(made.id, every=ALWAYS))
        assert own.sessions.touch(made.id, every=ALWAYS)
        assert told[-2:] == [("primary", InDoubt), ("primary", None)]
        assert told.count(("primary", InDoubt)) == 1
        assert own.cluster.status().nodes[0].in_use == 0


def test_a_task_cancelled_under_way_leaves_its_connection_ready(
    database, single, kit, user_id
):
    made = kit.sessions.create(user_id)

    async def run() -> None:
        async with authkit.connect_async(single) as own:
            assert await own.sessions.validate(made.token)
            backend = await pid(own)
            told = told_by(own)
            with (
                psycopg.connect(database.url) as locker,
                psycopg.connect(database.url, autocommit=True) as watcher,
            ):
                locker.execute("LOCK TABLE authkit.active_sessions")
                task = asyncio.create_task(own.sessions.validate(made.token))
                asked = f"SELECT 1 {BLOCKED}"
                await asyncio.to_thread(
                    until, lambda: watcher.execute(asked).fetchall(), "a call"
                )
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                # The server gave it up as well: the lock still stands.
                assert not watcher.execute(asked).fetchall()
            assert await own.sessions.validate(made.token)
            assert told == [("primary", asyncio.CancelledError), ("primary", None)]
            assert await pid(own) == backend
            assert own.cluster.status().nodes[0].in_use == 0

    asyncio.run(run())


async def pid(kit) -> int:
    async with kit.cluster.writer() as connection:
        return connection.pgconn.backend_pid


def test_a_tasks_connection_that_is_lost_under_way_is_replaced(
    database, single, kit, user_id
):
    made = kit.sessions.create(user_id)

    async def run() -> None:
        async with authkit.connect_async(single) as own:
            told = told_by(own)
            for _ in range(3):
                assert await own.sessions.validate(made.token)
                with (
                    psycopg.connect(database.url) as locker,
                    psycopg.connect(database.url, autocommit=True) as killer,
                ):
                    locker.execute("LOCK TABLE authkit.active_sessions")
                    task = asyncio.create_task(own.sessions.validate(made.token))
                    await asyncio.to_thread(until, partial(killed, killer), "a call")
                found = await task
                assert found is not None
                assert found.id == made.id
            # One that ran twice was one call to whoever made it.
            assert told == [("primary", None)] * 6

    asyncio.run(run())
