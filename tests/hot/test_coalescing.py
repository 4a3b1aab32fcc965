"""Calls that fold into one statement are answered as if each had been made alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import authkit
from authkit.crypto import issue
from authkit.errors import Conflict, DatabaseError, InDoubt
from authkit.hot import AttemptRecord, Limits, RatePolicy, Routed, sessions
from authkit.hot._primitives import aio, threads
from authkit.hot._sync.coalescing import Coalescing
from authkit.hot._sync.hot import Hot
from authkit.hot.folding import FOLDS
from authkit.hot.gathering import failures
from authkit.hot.operation import Batch
from authkit.hot.registry import OPERATIONS
from authkit.ids import uuid7
from authkit.testing.waiting import until

HOUR = timedelta(hours=1)
TEN = RatePolicy("ten", 10, HOUR)
NEVER_ALONE = Limits(alone=0, batches=1, most=64)
VALIDATE = sessions.VALIDATE


class Ended(BaseException):
    """What ends a caller from outside, as a greenlet is killed."""


def test_every_operation_that_says_so_folds_and_no_other():
    assert {op.name for op in OPERATIONS if op.batch is Batch.ARRAY} == set(FOLDS)


def test_concurrent_calls_of_tasks_share_statements(module_settings, add_user):
    async def run() -> None:
        user = add_user()
        async with authkit.connect_async(module_settings) as kit:
            made = [await kit.sessions.create(user) for _ in range(5)]
            asked: list[str] = []
            kit.observe(lambda name, *_: asked.append(name))
            tokens = [one.token for one in made] * 20 + [issue().token] * 20
            found = await asyncio.gather(*map(kit.coalesced.sessions.validate, tokens))
            expected = [one.id for one in made] * 20 + [None] * 20
            assert [session and session.id for session in found] == expected
            assert len({id(session) for session in found if session}) == 100
            # Eight go alone; the rest come in one or two statements.
            assert asked.count("sessions.validate") == 8
            assert 1 <= asked.count("sessions.validate_many") <= 2
            many = await kit.sessions.validate_many(tokens)
            assert [session and session.id for session in many] == expected

            touched = await asyncio.gather(
                *(
                    kit.coalesced.sessions.touch(made[n % 5].id, every=timedelta(0))
                    for n in range(50)
                )
            )
            assert all(touched)
            again = await asyncio.gather(
                *(kit.coalesced.sessions.touch(one.id, every=HOUR) for one in made * 9)
            )
            assert not any(again)

    asyncio.run(run())


def test_of_one_key_exactly_the_burst_passes_in_threads_and_tasks(
    module_settings, kit, race
):
    def charge(_: int) -> Any:
        return kit.coalesced.rate_limits.check("threads", "api", TEN)

    assert sum(map(bool, race(charge, 40))) == 10

    async def run() -> list[Any]:
        async with authkit.connect_async(module_settings) as opened:
            limits = opened.coalesced.rate_limits
            return await asyncio.gather(
                *(limits.check("tasks", "api", TEN) for _ in range(40))
            )

    answers = asyncio.run(run())
    assert sum(map(bool, answers)) == 10
    assert all(one.retry_after > timedelta(0) for one in answers if not one)


def test_a_row_that_cannot_be_written_fails_alone(module_settings, superuser, refused):
    device = uuid7().bytes * 2

    def attempt(place: int) -> AttemptRecord:
        bad = refused if place in {3, 30} else {"asn": place}
        return AttemptRecord(outcome="failed", device=device, **bad)

    async def run() -> list[Any]:
        async with authkit.connect_async(module_settings) as kit:
            with pytest.raises(Conflict):
                await kit.attempts.record_many(map(attempt, range(10)))
            record = kit.coalesced.attempts.record
            return await asyncio.gather(
                *(record(attempt(place)) for place in range(40)), return_exceptions=True
            )

    answers = asyncio.run(run())
    failed = [place for place, one in enumerate(answers) if isinstance(one, Exception)]
    assert failed == [3, 30]
    assert {type(answers[place]) for place in failed} == {Conflict}
    rows = superuser.execute(
        "SELECT id FROM authkit.auth_attempts WHERE device_fingerprint = %s", (device,)
    ).fetchall()
    kept = {one.id for one in answers if not isinstance(one, Exception)}
    assert {row[0] for row in rows} == kept


def test_batches_and_single_calls_over_the_same_keys_never_deadlock(kit, user_id):
    made = [kit.sessions.create(user_id).id for _ in range(30)]
    hot = Hot(Coalescing(Routed(kit.cluster), Limits(alone=0, batches=4, most=16)))
    zero = timedelta(0)

    def touch(place: int) -> bool:
        order = made if place % 2 else made[::-1]
        sessions = hot.sessions if place % 3 else kit.sessions
        return sessions.touch(order[place % 30], every=zero)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(touch, range(600)))


calls = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from([TEN, RatePolicy("odd", 7, HOUR, burst=3)]),
        st.integers(1, 3),
        st.integers(0, 2000),
    ),
    min_size=1,
    max_size=25,
)


@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches=st.lists(calls, min_size=1, max_size=3))
def test_folded_charges_are_those_of_the_same_calls_in_turn(frozen_kit, clock, batches):
    runner, fold = Routed(frozen_kit.cluster), FOLDS["rate_limits.check"]
    alone, folded = uuid7().hex, uuid7().hex
    for batch in batches:
        # One kind at a time, as the coalescer sorts them.
        policy, cost, seconds = batch[0][1:]
        clock.advance(timedelta(seconds=seconds))
        asked = [
            (name, "api", policy.name, policy.increment(cost), policy.tolerance, None)
            for name, *_ in batch
        ]

        def of(prefix: str, asked: Any = asked) -> list[Any]:
            return [(f"{prefix}{name}", *rest) for name, *rest in asked]

        in_turn = [
            frozen_kit.rate_limits.check(name, "api", policy, cost=cost)
            for name, *_ in of(alone)
        ]
        rows = runner.write(fold.many, fold.pack(of(folded))).rows
        answers = fold.answers(of(folded), rows)
        for single, (charge,) in zip(in_turn, (a.rows for a in answers), strict=True):
            assert charge.allowed == single.allowed
            ahead = max(charge.arrival - charge.at, timedelta(0))
            if single.allowed:
                assert ahead == single.reset_after
        for name in "abc":
            state = [
                frozen_kit.rate_limits.peek(f"{prefix}{name}", "api", TEN)
                for prefix in (alone, folded)
            ]
            assert state[0] == state[1]


def test_a_cancelled_call_is_left_out_and_the_others_are_answered():
    async def run() -> None:
        ran: list[list[int]] = []
        began, go = asyncio.Event(), asyncio.Event()

        async def answer(batch: Any) -> list[int]:
            ran.append(list(batch))
            began.set()
            await go.wait()
            return [call * 2 for call in batch]

        gathering = aio.Gathering(answer, NEVER_ALONE, read=True)

        async def alone(*_: object) -> int:
            raise AssertionError

        first = asyncio.create_task(gathering.submit(VALIDATE, 1, alone))
        await began.wait()
        others = [
            asyncio.create_task(gathering.submit(VALIDATE, n, alone)) for n in (2, 3, 4)
        ]
        # Tasks run in turn: after this one the others have all handed in their call.
        await asyncio.create_task(asyncio.wait_for(began.wait(), 20))
        others[1].cancel()
        go.set()
        assert await first == 2
        assert (await others[0], await others[2]) == (4, 8)
        with pytest.raises(asyncio.CancelledError):
            await others[1]
        assert ran == [[1], [2, 4]]
        assert gathering.flying == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("callers", "sizes"),
    [(100, [50, 50]), (40, [32, 8]), (10, [10])],
    ids=["many are halved", "a small batch is whole", "few go in one"],
)
def test_two_batches_share_what_is_under_way(callers, sizes):
    async def run() -> None:
        ran: list[int] = []
        full, go = asyncio.Event(), asyncio.Event()

        async def answer(batch: Any) -> list[int]:
            ran.append(len(batch))
            if sum(ran) == callers:
                full.set()
            await go.wait()
            return list(batch)

        gathering = aio.Gathering(answer, Limits(alone=0, batches=2), read=True)
        calls = [
            asyncio.create_task(gathering.submit(VALIDATE, n, pytest.fail))
            for n in range(callers)
        ]
        await asyncio.wait_for(full.wait(), 20)
        go.set()
        assert await asyncio.gather(*calls) == list(range(callers))
        assert ran == sizes

    asyncio.run(run())


@pytest.mark.parametrize("read", [True, False], ids=["a read", "a write"])
def test_a_leader_who_is_ended_ends_nobody_else(read):
    entered, go = threading.Event(), threading.Event()
    ran: list[list[int]] = []

    def answer(batch: Any) -> list[int]:
        ran.append(list(batch))
        if len(ran) == 1:
            entered.set()
            go.wait(20)
        if len(ran) == 2:
            raise Ended
        return [call * 2 for call in batch]

    gathering = threads.Gathering(answer, NEVER_ALONE, read=read)

    def submit(call: int) -> Any:
        try:
            return gathering.submit(VALIDATE, call, pytest.fail)
        except (Ended, InDoubt) as exc:
            return type(exc)

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(submit, 1)
        assert entered.wait(20)
        rest = [pool.submit(submit, call) for call in range(2, 8)]
        until(lambda: gathering.flying == 7, "all of them wait")
        go.set()
        answers = [one.result(20) for one in rest]
        assert first.result(20) == 2
    assert answers.count(Ended) == 1
    survived = [answer for answer in answers if answer is not Ended]
    if read:
        assert sorted(survived) == sorted(
            call * 2 for batch in ran[2:] for call in batch
        )
        assert len(survived) == 5
    else:
        assert survived == [InDoubt] * 5
    assert gathering.flying == 0
    assert gathering.submit(VALIDATE, 9, pytest.fail) == 18


def test_everybody_gets_an_error_of_their_own():
    shared = DatabaseError("refused", sqlstate="22P05")
    first, second = (failure.error for failure in failures(shared, 2))
    assert first is not second
    assert [type(first), first.sqlstate, str(first)] == [
        DatabaseError,
        "22P05",
        "refused",
    ]


SCRIPT = """
from gevent import monkey
monkey.patch_all()
import os
import gevent
import authkit
from authkit.crypto import issue
from authkit.hot import NewSession
from authkit.settings import Settings

settings = Settings.load(None, database_url=os.environ["PRIMARY"], database_pool_max=4)
with authkit.connect(settings) as kit:
    with kit.unit_of_work() as uow:
        user = uow.run(lambda w: w.users.create("greenlet@example.com"))
    made = kit.sessions.create(user.id)
    assert isinstance(made, NewSession)
    found = []

    def use(n):
        for _ in range(5):
            session = kit.coalesced.sessions.validate(made.token)
            found.append(session.id == made.id)

    gevent.joinall([gevent.spawn(use, n) for n in range(40)], raise_error=True)
    assert found == [True] * 200
    for _ in range(60):
        crowd = [gevent.spawn(use, n) for n in range(30)]
        gevent.sleep(0.003)
        gevent.killall(crowd)
    gevent.joinall([gevent.spawn(use, n) for n in range(40)], raise_error=True)
    assert [node.in_use for node in kit.cluster.status().nodes] == [0]
print("sound")
"""


def test_killed_greenlets_leave_the_others_answered(database):
    pytest.importorskip("gevent", reason="gevent comes with the extra `bench`")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={**os.environ, "PRIMARY": database.url},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stdout.strip() == "sound", run.stderr[-3000:]
