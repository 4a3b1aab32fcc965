"""Counts made anew while people log in, and of whom."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr

import authkit
from authkit.hot.binding import bind
from authkit.kit.login_values import Begun, LoggedIn, LoginRefused
from authkit.risk import counters, features
from authkit.risk.recount import rebuild
from authkit.settings import Settings
from authkit.testing.waiting import until

EMAIL = "ada@example.com"
HOME = features("192.0.2.7", 64512, "NO", "curl/8.16.0")


@pytest.fixture
def kit(settings: Settings) -> Iterator[authkit.Kit]:
    keys = {"authkit_token_key": SecretStr("A" * 43 + "=")}
    with authkit.connect(settings.model_copy(update=keys)) as opened:
        yield opened


@pytest.fixture
def ada(kit) -> UUID:
    with kit.unit_of_work() as uow:
        return uow.users.create(EMAIL).id


@pytest.fixture
def owner(database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.url, autocommit=True) as opened:
        yield opened


def begin(kit: authkit.Kit) -> Begun:
    begun = kit.logins.begin(EMAIL, ip="192.0.2.7")
    assert isinstance(begun, Begun)
    return begun


def counted(owner: psycopg.Connection, user: UUID) -> tuple[int, ...]:
    row = owner.execute(
        "SELECT (SELECT count(*) FROM authkit.risk_logins WHERE user_id = %(u)s),"
        " (SELECT coalesce(sum(logins), 0) FROM authkit.risk_users"
        " WHERE user_id = %(u)s)::bigint, (SELECT count(*)"
        " FROM authkit.risk_user_counts WHERE user_id = %(u)s)",
        {"u": user},
    ).fetchone()
    assert row is not None
    return row


def test_an_erased_user_stays_uncounted_when_the_counts_are_made_anew(kit, ada, owner):
    kit.logins.succeed(begin(kit))
    with kit.unit_of_work() as uow:
        uow.users.erase(ada)
    rebuild(owner, datetime.now(UTC) + timedelta(minutes=1))
    assert counted(owner, ada) == (0, 0, 0)


def test_nobody_who_scores_a_login_waits_for_the_counts_nor_they_for_them(
    kit, ada, owner, database
):
    kit.logins.succeed(begin(kit))
    seen: list[tuple] = []
    with psycopg.connect(
        database.url, autocommit=True, cursor_factory=psycopg.RawCursor
    ) as reader:
        params = bind(counters.EVIDENCE, (ada, None, counters.keys(HOME)))

        def score(*_: object) -> None:
            seen.append(reader.execute(counters.EVIDENCE.sql, params).fetchone())

        for waiting in (reader, owner):
            waiting.execute("SET lock_timeout = '5s'")
        with reader.transaction():
            score()  # from here on it keeps the locks of what it read
            rebuild(owner, datetime.now(UTC), score)
    assert {row[0] for row in seen} == {1}


def test_a_login_that_completes_meanwhile_waits_and_is_counted(
    kit, ada, owner, database
):
    begun = begin(kit)
    blocked = "SELECT pid FROM pg_locks WHERE %s = ANY (pg_blocking_pids(pid))"
    running: list[Future[LoggedIn | LoginRefused]] = []
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(database.url, autocommit=True) as watch,
    ):

        def log_in(*_: object) -> None:
            if running:
                return
            running.append(thread.submit(kit.logins.succeed, begun))
            held_up = (owner.info.backend_pid,)
            until(lambda: watch.execute(blocked, held_up).fetchone(), "it to wait")

        rebuild(owner, datetime.now(UTC) + timedelta(minutes=1), log_in)
        assert isinstance(running[0].result(), LoggedIn)
    assert counted(owner, ada)[:2] == (1, 1)


def test_a_login_that_came_later_than_is_asked_for_stays_counted(kit, ada, owner):
    before = datetime.now(UTC) - timedelta(minutes=1)
    kit.logins.succeed(begin(kit))
    assert rebuild(owner, before) == 0
    assert counted(owner, ada)[:2] == (1, 1)


def test_nothing_is_merged_or_forgotten_while_the_counts_are_made_anew(
    kit, ada, owner, database
):
    kit.logins.succeed(begin(kit))
    taken: list[tuple] = []
    with psycopg.connect(database.url, autocommit=True) as other:
        other.execute("SET lock_timeout = '5s'")
        merge = "SELECT authkit.risk_merge(10)"
        rebuild(
            owner,
            datetime.now(UTC) + timedelta(minutes=1),
            lambda *_: taken.append(other.execute(merge).fetchone()),
        )
    assert set(taken) == {(0,)}
    assert owner.execute("SELECT logins FROM authkit.risk_totals").fetchone() == (1,)
