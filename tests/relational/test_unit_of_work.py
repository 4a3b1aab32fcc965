from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text

import authkit
from authkit.cluster import Role
from authkit.errors import (
    AlreadyExists,
    Closed,
    DatabaseError,
    InDoubt,
    InvalidInput,
    NotFound,
    RetryLater,
    Unavailable,
)
from authkit.hot import NewSession
from authkit.ids import uuid7
from authkit.relational import Work
from authkit.schema.relational import User
from authkit.testing import race


def in_use(kit) -> int:
    return sum(node.in_use for node in kit.cluster.status().nodes)


def wait_for_a_replica_of_known_lag(kit) -> None:
    told, deadline = threading.Event(), time.monotonic() + 30
    stop = kit.cluster.events.subscribe(lambda _: told.set())
    while not any(
        node.role is Role.REPLICA and node.lag_s is not None and node.lag_s < 30
        for node in kit.cluster.status().nodes
    ):
        assert told.wait(timeout=deadline - time.monotonic())
        told.clear()
    stop()


@pytest.fixture(autouse=True)
def no_connection_stays_out(kit) -> Iterator[None]:
    yield
    assert in_use(kit) == 0


def test_both_layers_commit_together(kit, email):
    with kit.unit_of_work() as uow:
        user = uow.users.create(email)
        made = uow.hot.sessions.create(user.id)
        assert kit.sessions.validate(made.token) is None
        assert uow.hot.sessions.validate(made.token) is not None
    assert kit.sessions.validate(made.token).user_id == user.id


def test_both_layers_vanish_together(kit, user):
    tokens = []
    with contextlib.suppress(InvalidInput), kit.unit_of_work() as uow:
        uow.roles.grant(user.id, "admin")
        tokens.append(uow.hot.sessions.create(user.id).token)
        uow.users.create("")
    assert kit.sessions.validate(tokens[0]) is None
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.roles.of(user.id) == []


def test_the_commit_gives_a_token_that_a_replica_can_be_asked_for(kit, email):
    with kit.unit_of_work(token=True) as uow:
        user = uow.users.create(email)
        assert uow.token is None
    later = timedelta(seconds=30)
    with kit.unit_of_work(read_only=True, max_lag=later, after=uow.token) as uow:
        assert uow.users.find(user.id) is not None


# Stands before pg_catalog's own while `search_path` says so.
STOPPED_BEFORE_IT_TELLS = """
CREATE FUNCTION public.pg_current_wal_insert_lsn() RETURNS pg_lsn LANGUAGE sql
AS 'SELECT NULL::pg_lsn FROM pg_terminate_backend(pg_backend_pid())'
"""


def test_a_commit_whose_position_is_never_told_stands_and_gives_no_token(
    kit, email, superuser
):
    superuser.execute(STOPPED_BEFORE_IT_TELLS)
    try:
        with kit.unit_of_work(token=True) as uow:
            uow.users.create(email)
            uow.work.session.execute(text("SET search_path = public, pg_catalog"))
        assert uow.token is None
        assert len(uow.receipts) == 1
    finally:
        superuser.execute("DROP FUNCTION public.pg_current_wal_insert_lsn()")
    with kit.unit_of_work(read_only=True) as later:
        assert later.users.find_by_email(email) is not None


def test_a_unit_of_work_after_a_token_sees_the_commit_where_the_replica_does_not_yet(
    kit, email, replay_paused
):
    wait_for_a_replica_of_known_lag(kit)
    with replay_paused():
        with kit.unit_of_work(token=True) as uow:
            uow.work.session.execute(text("SET LOCAL synchronous_commit = local"))
            user = uow.users.create(email)
        for bound in (None, timedelta(minutes=1)):
            with kit.unit_of_work(
                read_only=True, max_lag=bound, after=uow.token
            ) as later:
                assert later.users.find(user.id) is not None
                assert later.node.role is Role.PRIMARY


def test_a_read_only_unit_runs_on_a_replica_when_staleness_is_allowed(kit):
    wait_for_a_replica_of_known_lag(kit)
    with kit.unit_of_work(read_only=True, max_lag=timedelta(seconds=60)) as uow:
        assert uow.node.role is Role.REPLICA
        assert uow.roles.find("admin") is not None
        assert uow.audit.verify().intact


def test_a_read_that_may_not_be_stale_runs_on_the_primary(kit):
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.node.role is Role.PRIMARY


@pytest.mark.parametrize("bound", [{}, {"max_lag": timedelta(hours=1)}])
def test_a_read_only_unit_drops_no_event_and_no_row_without_a_word(kit, email, bound):
    for leave in (
        lambda uow: uow.audit.append("data.export"),
        lambda uow: uow.session.add(User(id=uuid7(), email=email)),
    ):
        with (
            pytest.raises(DatabaseError) as caught,
            kit.unit_of_work(read_only=True, **bound) as uow,
        ):
            leave(uow)
        assert caught.value.sqlstate == "25006"


def test_what_is_rolled_back_to_a_savepoint_is_not_told(kit, user, word):
    with kit.unit_of_work(correlation_id=word) as uow:
        uow.roles.grant(user.id, "user")
        with contextlib.suppress(NotFound), uow.session.begin_nested():
            uow.roles.grant(user.id, "moderator")
            with uow.session.begin_nested():
                uow.roles.grant(user.id, "admin")
            uow.roles.grant(user.id, word)
        with uow.session.begin_nested():
            uow.users.update(user.id, name="Bea")
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.roles.of(user.id) == ["user"]
        told = [entry.action for entry in uow.audit.trail(correlation_id=word)]
    assert sorted(told) == ["role.grant", "user.update"]


def test_a_read_only_unit_refuses_a_change_and_accuses_no_node(kit, user):
    before = kit.cluster.topology.primary
    refused = pytest.raises(DatabaseError, match="may not write")
    with refused, kit.unit_of_work(read_only=True) as uow:
        uow.users.update(user.id, name="x")
    assert kit.cluster.topology.primary.name == before.name
    with kit.unit_of_work() as uow:
        assert uow.users.update(user.id, name="y").name == "y"


def test_a_staleness_bound_is_for_reading(kit):
    with pytest.raises(InvalidInput):
        kit.unit_of_work(max_lag=timedelta(seconds=1))


def test_an_error_of_the_driver_goes_out_as_one_of_authkits(kit):
    with pytest.raises(DatabaseError) as caught, kit.unit_of_work() as uow:
        uow.session.execute(text("SELECT 1 / 0"))
    assert caught.value.sqlstate == "22012"
    assert isinstance(caught.value.__cause__, psycopg.Error)


def test_an_error_of_the_hot_path_is_translated_too(kit, user):
    made = kit.sessions.create(user.id)
    rename = text("ALTER TABLE authkit.active_sessions RENAME TO gone")
    with pytest.raises(DatabaseError), kit.unit_of_work() as uow:  # noqa: PT012 # the block is what fails
        uow.session.execute(rename)
        uow.hot.sessions.validate(made.token)
    assert kit.sessions.validate(made.token) is not None


def test_a_lock_that_is_not_free_is_to_be_tried_again(kit, user):
    locked = text("SELECT id FROM authkit.users WHERE id = :id FOR UPDATE NOWAIT")
    with kit.unit_of_work() as first:
        first.session.execute(locked, {"id": user.id})
        with pytest.raises(RetryLater), kit.unit_of_work() as second:
            second.session.execute(locked, {"id": user.id})


def backend(uow) -> int:
    return uow.session.scalar(text("SELECT pg_backend_pid()"))


def test_a_connection_lost_before_the_commit_means_nothing_was_applied(
    kit, superuser, email
):
    with pytest.raises(Unavailable), kit.unit_of_work() as uow:  # noqa: PT012 # the block is what fails
        uow.users.create(email)
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", (backend(uow),))
        uow.users.find_by_email(email)
    with kit.unit_of_work() as uow:
        assert uow.users.find_by_email(email) is None


def test_a_connection_lost_at_the_commit_is_in_doubt(kit, superuser, email):
    with pytest.raises(InDoubt), kit.unit_of_work() as uow:
        # A deferred constraint runs within COMMIT: it ends the connection there.
        uow.session.execute(
            text(
                "CREATE TEMP TABLE doubt (n int) ON COMMIT DROP;"
                " CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql AS $$"
                " BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL;"
                " END $$;"
                " CREATE CONSTRAINT TRIGGER die AFTER INSERT ON doubt DEFERRABLE"
                " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.die();"
                " INSERT INTO doubt VALUES (1)"
            )
        )
    with kit.unit_of_work() as uow:
        assert uow.users.find_by_email(email) is None


def test_a_thousand_units_leak_no_connection(kit, user):
    def act(caller: int) -> None:
        for number in range(34):
            with contextlib.suppress(InvalidInput), kit.unit_of_work() as uow:
                uow.roles.check(user.id, "user:read")
                if (caller + number) % 3 == 0:
                    uow.users.create("")

    race(act, 30)


def test_a_unit_of_work_is_used_once_and_only_within_its_block(kit):
    uow = kit.unit_of_work()
    with pytest.raises(Closed):
        _ = uow.users
    with uow:
        assert uow.users is not None
    for use in (lambda: uow.users, lambda: uow.hot, uow.__enter__):
        with pytest.raises(Closed):
            use()


def test_the_same_function_runs_under_threads_and_under_asyncio(
    kit, module_settings, word
):
    def join(work: Work, email: str) -> NewSession:
        user = work.users.create(email)
        work.roles.grant(user.id, "user")
        work.audit.append("test.join", target=f"user:{user.id}")
        made = work.hot.sessions.create(user.id)
        assert isinstance(made, NewSession)
        return made

    async def under_asyncio() -> NewSession:
        async with authkit.connect_async(module_settings) as akit:
            async with akit.unit_of_work(token=True) as uow:
                made = await uow.run(lambda w: join(w, f"two.{word}@example.com"))
                assert await uow.hot.sessions.validate(made.token) is not None
            assert uow.token is not None
            assert len(uow.receipts) == 3
            assert await akit.sessions.validate(made.token) is not None
            with pytest.raises(AlreadyExists):
                async with akit.unit_of_work() as uow:
                    await uow.run(lambda w: join(w, f"two.{word}@example.com"))
            async with akit.unit_of_work(read_only=True) as uow:
                assert (await uow.run(lambda w: w.audit.verify())).intact
            return made

    with kit.unit_of_work() as uow:
        one = uow.run(lambda w: join(w, f"one.{word}@example.com"))
    two = asyncio.run(under_asyncio())
    assert kit.sessions.validate(one.token) is not None
    assert kit.sessions.validate(two.token) is not None


def test_a_cancelled_task_gives_its_connection_back_and_keeps_nothing(
    module_settings, kit, email
):
    async def run() -> None:
        async with authkit.connect_async(module_settings) as akit:
            begun = asyncio.Event()

            async def hang() -> None:
                async with akit.unit_of_work() as uow:
                    await uow.run(lambda w: w.users.create(email))
                    begun.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(hang())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert in_use(akit) == 0

    asyncio.run(run())
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.users.find_by_email(email) is None
