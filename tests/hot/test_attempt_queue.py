"""Attempts acknowledged on being put into a queue: written by and by, in bulk."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import psycopg
import pytest

import authkit
from authkit.errors import Closed, InvalidInput, Saturated
from authkit.hot.attempt_values import AttemptRecord
from authkit.testing.waiting import until


def attempt(**parts) -> AttemptRecord:
    return AttemptRecord(outcome="failed", **parts)


def test_everything_put_is_written_when_the_block_ends_but_what_is_refused(
    kit, user_id, refused
):
    with kit.attempts.queue() as queue:
        for number in range(700):
            bad = refused if number == 650 else {}
            queue.put(attempt(user_id=user_id, **bad))
    assert (queue.waiting, queue.refused, queue.lost) == (0, 1, 0)
    day = timedelta(days=1)
    assert kit.attempts.failures(window=day, user_id=user_id).user == 699


def test_nothing_is_acknowledged_in_a_process_that_a_fork_made(kit, user_id):
    with kit.attempts.queue() as queue:
        child = os.fork()
        if child == 0:  # pragma: no cover # nobody writes here: threads are not forked
            status = 1
            try:
                queue.put(attempt(user_id=user_id))
            except Closed:
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        queue.put(attempt(user_id=user_id))
    assert queue.lost == 0


def test_no_more_wait_than_may_and_nobody_waits_for_the_database(
    kit, database, user_id
):
    with psycopg.connect(database.url) as blocker, kit.attempts.queue(most=3) as queue:
        blocker.execute("LOCK TABLE authkit.auth_attempts")
        for _ in range(3):
            queue.put(attempt(user_id=user_id))
        with pytest.raises(Saturated):
            queue.put(attempt(user_id=user_id))
        assert queue.waiting == 3
        blocker.rollback()
        until(lambda: queue.waiting == 0, "the queue is written")
        queue.put(attempt(user_id=user_id))
    seen = kit.attempts.recent_by_user(user_id)
    assert len(seen) == 4


def test_what_cannot_be_written_in_time_is_counted_as_lost(kit, database, user_id):
    with psycopg.connect(database.url) as blocker:
        with kit.attempts.queue(patience=timedelta(milliseconds=50)) as queue:
            blocker.execute("LOCK TABLE authkit.auth_attempts")
            queue.put(attempt(user_id=user_id))
        assert queue.lost == 1
        blocker.rollback()
    until(lambda: queue.waiting == 0, "the write that was under way ends")


def test_a_queue_takes_nothing_malformed_and_nothing_before_or_after_its_block(kit):
    queue = kit.attempts.queue()
    with pytest.raises(Closed):
        queue.put(attempt())
    with queue, pytest.raises(InvalidInput):
        queue.put(attempt(country="Switzerland"))
    with pytest.raises(Closed):
        queue.put(attempt())
    with pytest.raises(Closed), queue:
        pass
    with pytest.raises(InvalidInput):
        kit.attempts.queue(most=0)


def test_under_asyncio_too(module_settings, kit, user_id):
    async def main() -> int:
        async with (
            authkit.connect_async(module_settings) as opened,
            opened.attempts.queue() as queue,
        ):
            for _ in range(40):
                queue.put(attempt(user_id=user_id))
        return queue.lost

    assert asyncio.run(main()) == 0
    assert len(kit.attempts.recent_by_user(user_id)) == 40
