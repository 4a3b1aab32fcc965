"""Merging, forgetting and logging in at the same moment: the counts stay exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from authkit.hot.binding import bind
from authkit.ids import uuid7
from authkit.risk import counters, features
from authkit.testing.waiting import until

KEYS = counters.keys(features("192.0.2.7", 64512, "NO", "curl/8.16.0"))
OLD = datetime.now(UTC) - timedelta(days=300)
Connect = Callable[[], psycopg.Connection]


@pytest.fixture
def connect(database) -> Iterator[Connect]:
    """Open connections that are closed at the end."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(
            psycopg.connect(
                database.url, autocommit=True, cursor_factory=psycopg.RawCursor
            )
        )


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as opened:
        yield opened


def learn(connection: psycopg.Connection, user: UUID, at: datetime) -> None:
    params = bind(counters.LEARN, (user, at, uuid7(), KEYS))
    connection.execute(counters.LEARN.sql, params)


def merge(connection: psycopg.Connection) -> int:
    row = connection.execute(counters.MERGE.sql, (1000,)).fetchone()
    assert row is not None
    return row[0]


def age(connection: psycopg.Connection) -> int:
    before = datetime.now(UTC) - timedelta(days=182)
    row = connection.execute(counters.AGE.sql, (before, 1000)).fetchone()
    assert row is not None
    return row[0]


def held_up(
    thread: ThreadPoolExecutor,
    watch: psycopg.Connection,
    by: psycopg.Connection,
    call: Callable[[], int],
) -> Future[int]:
    """Begin a call, and return it once it waits for another connection."""
    running = thread.submit(call)
    waits = "SELECT pid FROM pg_locks WHERE $1 = ANY (pg_blocking_pids(pid))"
    pid = (by.info.backend_pid,)
    until(lambda: watch.execute(waits, pid).fetchone(), "it to wait")
    return running


def test_a_login_that_ages_while_it_is_merged_leaves_no_count_behind(connect, thread):
    owner, merger, holder = connect(), connect(), connect()
    ada = uuid7()
    learn(owner, ada, OLD)
    assert merge(owner) == 1
    learn(owner, ada, OLD)
    with holder.transaction():
        holder.execute("SELECT FROM authkit.risk_counts FOR UPDATE")
        merging = held_up(thread, owner, holder, lambda: merge(merger))
        assert age(owner) == 2
    assert merging.result() == 1
    assert merge(owner) == 2
    for question in (
        "SELECT count(*) FROM authkit.risk_counts",
        "SELECT count(*) FROM authkit.risk_pairs",
        "SELECT logins FROM authkit.risk_totals",
        "SELECT sum(d) FROM authkit.risk_totals, unnest(distinct_values) AS d",
    ):
        assert owner.execute(question).fetchone() == (0,), question


def test_a_login_that_comes_while_others_age_keeps_its_counts(connect, thread):
    owner, ager, comer = connect(), connect(), connect()
    ada = uuid7()
    learn(owner, ada, OLD)
    with comer.transaction():
        learn(comer, ada, datetime.now(UTC))
        ageing = held_up(thread, owner, comer, lambda: age(ager))
    assert ageing.result() == 1
    rows = owner.execute("SELECT key, seen FROM authkit.risk_user_counts").fetchall()
    # All but that of an address that is new: the old one was there when it came.
    assert dict(rows) == dict.fromkeys(filter(None, KEYS[:-1]), 1)
