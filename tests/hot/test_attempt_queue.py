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
from authkit.settings import Settings
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


def test_what_a_timeout_ended_is_kept_and_written_later(database, kit, user_id, caplog):
    url = f"{database.url}?options=-cstatement_timeout%3D50"
    with (
        authkit.connect(Settings.load(env_file=None, database_url=url)) as impatient,
        psycopg.connect(database.url) as blocker,
        impatient.attempts.queue() as queue,
    ):
        blocker.execute("LOCK TABLE authkit.auth_attempts")
        for _ in range(8):
            queue.put(attempt(user_id=user_id))
        until(
            lambda: queue.refused or "SQLSTATE 57014" in caplog.text, "it is cancelled"
        )
        blocker.rollback()
    assert (queue.waiting, queue.refused, queue.lost) == (0, 0, 0)
    assert len(kit.attempts.recent_by_user(user_id)) == 8


RAISED = """
    CREATE FUNCTION authkit.raised() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.asn = 64497 THEN RAISE 'no' USING ERRCODE = '{code}'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER raised BEFORE INSERT ON authkit.auth_attempts
      FOR EACH ROW EXECUTE FUNCTION authkit.raised()
"""


@pytest.mark.parametrize(
    ("code", "ends"), [("P0001", "refused"), ("54000", "refused"), ("XX000", "lost")]
)
def test_one_that_cannot_be_written_keeps_none_of_the_others_back(
    kit, superuser, user_id, code, ends
):
    superuser.execute(RAISED.format(code=code))
    try:
        with kit.attempts.queue(patience=timedelta(seconds=1)) as queue:
            queue.put(attempt(user_id=user_id, asn=64497))
            for _ in range(20):
                queue.put(attempt(user_id=user_id))
            until(
                lambda: len(kit.attempts.recent_by_user(user_id)) == 20,
                "the others are written",
            )
    finally:
        superuser.execute("DROP FUNCTION authkit.raised() CASCADE")
    assert {"refused": queue.refused, "lost": queue.lost}[ends] == 1


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
