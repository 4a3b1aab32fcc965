"""Reading what was written: waited for on a replica, else from the primary."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from dataclasses import replace

import pytest

from authkit.cluster import Token, bookmark
from authkit.cluster._async import causal as async_causal
from authkit.cluster._sync import causal
from authkit.cluster.consistency import Found
from authkit.cluster.timelines import Timelines, parse_history
from authkit.cluster.views import Observation, Role
from authkit.errors import NoReplica

HISTORY = """\
1\t0/3000158\tno recovery target specified

2\t0/5000000\tbefore 2026-01-01
# a comment
rubbish here
"""


def test_a_history_file_is_read():
    assert parse_history(HISTORY) == {1: 0x3000158, 2: 0x5000000}


def test_a_token_before_the_point_of_leaving_holds_and_one_after_it_is_lost():
    known = Timelines().read(3, HISTORY)
    at = {"timeline": 3, "primary": "b"}
    assert known.holds(Token(3, 0), **at)
    assert known.holds(Token(1, 0x3000158), **at)
    assert not known.holds(Token(1, 0x3000159), **at)
    assert known.holds(Token(2, 0x5000000), **at)
    assert not known.holds(Token(4, 1), **at)


def test_without_the_file_only_what_the_new_primary_had_replayed_holds():
    seen = Observation("b", 1, 2, Role.REPLICA, 1, "7", 500, "s", 180_000)
    known = Timelines().saw(seen).read(2, None)
    at = {"timeline": 2, "primary": "b"}
    assert known.holds(Token(1, 500), **at)
    assert not known.holds(Token(1, 501), **at)
    assert not known.holds(Token(1, 400), timeline=2, primary="c")


def test_an_earlier_position_does_not_undo_a_later_one():
    later = Observation("b", 1, 2, Role.REPLICA, 1, "7", 500, "s", 180_000)
    earlier = Observation("b", 3, 4, Role.REPLICA, 1, "7", 400, "s", 180_000)
    known = Timelines().saw(later)
    assert known.saw(earlier) is known


def test_what_a_new_primary_had_before_it_was_started_anew_proves_nothing():
    had = Observation("b", 1, 2, Role.REPLICA, 1, "7", 500, "s", 180_000)
    # Rewound meanwhile, it follows the timeline that was begun without that commit.
    rewound = Observation("b", 3, 4, Role.REPLICA, 2, "7", 900, "later", 180_000)
    known = Timelines().saw(had).saw(rewound).read(3, None)
    at = {"timeline": 3, "primary": "b"}
    assert not known.holds(Token(1, 500), **at)
    assert known.holds(Token(2, 900), **at)


def write(driver, table):
    with driver.writer() as connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (n int)")
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        return driver.call("token", connection.raw)


def local_write(driver, table):
    with driver.writer() as connection:
        connection.execute("SET synchronous_commit = local")
        connection.execute(f"INSERT INTO {table} VALUES (2)")
        connection.execute("RESET synchronous_commit")
        return driver.call("token", connection.raw)


def a_fresh_replica(driver):
    nodes = driver.cluster._roster.nodes.values()

    def fresh():
        replicas = (n for n in nodes if n.view.role is Role.REPLICA)
        return next((n for n in replicas if n.view.fresh_at > 0), None)

    return driver.until(fresh, "a replica of known age")


def test_every_read_after_a_token_sees_its_write_and_a_replica_that_has_it_serves(
    drive, settings, table, pair
):
    driver = drive(settings).open()
    a_fresh_replica(driver)
    for n in range(1, 30):
        token = write(driver, table)
        replayed = n % 3 == 0
        if replayed:
            pair.wait_replayed()
        with driver.reader(after=token) as connection:
            served = connection.execute("SELECT pg_is_in_recovery()") == [(True,)]
            assert served or not replayed
            assert connection.execute(f"SELECT count(*) FROM {table}") == [(n,)]


def test_a_replica_that_does_not_replay_is_passed_over_for_the_primary(
    drive, settings, table, replay_paused
):
    driver = drive(settings).open()
    write(driver, table)
    with replay_paused():
        token = local_write(driver, table)
        with driver.reader(after=token) as connection:
            assert connection.execute("SELECT pg_is_in_recovery()") == [(False,)]
            assert len(connection.execute(f"SELECT n FROM {table}")) == 2


def test_what_was_learnt_before_a_connection_was_made_is_not_believed_of_its_server(
    drive, settings, table, replay_paused
):
    driver = drive(settings).open()
    write(driver, table)
    replica = a_fresh_replica(driver)
    where = "SELECT pg_is_in_recovery()"
    with replay_paused():
        token = local_write(driver, table)
        for learnt, on_replica in ((0.0, False), (math.inf, True)):
            replica.found = Found(token.timeline, token.lsn, learnt)
            with driver.reader(after=token) as connection:
                assert connection.execute(where) == [(on_replica,)]


def test_a_replica_that_went_over_to_another_timeline_unseen_holds_no_token(
    drive, settings
):
    driver = drive(settings).open()
    replica = a_fresh_replica(driver)
    contained = {"sync": causal.contained, "async": async_causal.contained}
    with driver.reader() as connection:
        assert connection.raw.home is replica
        # As it was seen before; a probe in between only makes the answer plainer.
        replica.view = replace(replica.view, timeline=99, lsn=0)
        holds = contained[driver.colour](
            driver.cluster._roster, connection.raw, Token(99, 1)
        )
        assert not driver.wait(holds)


def test_a_replica_that_does_not_answer_is_not_waited_for(
    drive, settings, table, replay_paused
):
    one = {"database_replica_pool_min": 1, "database_replica_pool_max": 1}
    driver = drive(settings.model_copy(update=one)).open()
    roster = driver.cluster._roster
    driver.until(lambda: [n for n in roster.replicas if n.view.fresh_at > 0], "fresh")
    with driver.reader(max_lag=60) as connection:
        (stopped,) = connection.execute("SELECT pg_backend_pid()")[0]
    with replay_paused():
        with driver.writer() as connection:
            connection.execute("SET synchronous_commit = local")
            connection.execute(f"CREATE TABLE {table} (n int)")
            connection.execute("RESET synchronous_commit")
            token = driver.call("token", connection.raw)
        os.kill(stopped, signal.SIGSTOP)
        try:
            with driver.reader(max_lag=60, after=token, timeout=20) as connection:
                assert connection.node == driver.cluster.status().primary
                assert connection.execute(f"SELECT n FROM {table}") == []
        finally:
            os.kill(stopped, signal.SIGCONT)


def test_a_token_of_a_timeline_nobody_has_seen_is_waited_for_and_refused(
    drive, settings
):
    driver = drive(settings).open()
    with pytest.raises(NoReplica), driver.reader(after=Token(99, 1), timeout=0.2):
        pass


def test_a_request_remembers_its_latest_write():
    with bookmark.request(Token(1, 5)):
        assert bookmark.remembered() == Token(1, 5)
        bookmark.remember(Token(1, 9))
        bookmark.remember(Token(1, 7))
        bookmark.remember(None)
        assert bookmark.remembered() == Token(1, 9)
    assert bookmark.remembered() is None


def test_a_request_remembers_what_its_tasks_and_threads_wrote():
    async def handle():
        bookmark.remember(Token(1, 9))
        await asyncio.to_thread(bookmark.remember, Token(1, 12))

    async def serve():
        with bookmark.request(Token(1, 5)):
            await asyncio.create_task(handle())
            return bookmark.remembered()

    async def other():
        with bookmark.request():
            return bookmark.remembered()

    async def both():
        return await asyncio.gather(serve(), other())

    assert asyncio.run(both()) == [Token(1, 12), None]
