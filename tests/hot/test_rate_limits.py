"""The limiter against an exact model of the algorithm, and behind a barrier."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import authkit
from authkit.errors import InvalidInput
from authkit.hot import RatePolicy
from authkit.hot._sync.coalescing import Coalescing
from authkit.hot._sync.rate_limits import RateLimits
from authkit.hot.gathering import Limits
from authkit.ids import uuid7
from authkit.testing.waiting import until

MINUTE = timedelta(minutes=1)
UNIT = timedelta(seconds=0.2)
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
TEN = RatePolicy("ten", 10, timedelta(hours=1))
WAITING = """
    SELECT count(*)::int FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
POLICIES = (
    RatePolicy("slow", 5, MINUTE),
    RatePolicy("odd", 7, MINUTE, burst=3),
    RatePolicy("fast", 1000, timedelta(seconds=1), burst=50),
)


def key() -> str:
    return uuid7().hex


@dataclass
class Model:
    """The generic cell rate algorithm, in whole microseconds."""

    arrival: dict[str, datetime] = field(default_factory=dict)

    def base(self, name: str, policy: RatePolicy, now: datetime) -> datetime:
        latest = max(self.arrival.get(name, now), now)
        return min(latest, now + policy.tolerance)

    def allows(self, name: str, policy: RatePolicy, cost: int, now: datetime) -> bool:
        charged = self.base(name, policy, now) + policy.interval * cost
        return charged <= now + policy.tolerance

    def charge(self, name: str, policy: RatePolicy, cost: int, now: datetime) -> None:
        self.arrival[name] = self.base(name, policy, now) + policy.interval * cost

    def deny(self, name: str, policy: RatePolicy, now: datetime) -> None:
        if name in self.arrival:
            self.arrival[name] = min(self.arrival[name], now + policy.tolerance)

    def remaining(self, name: str, policy: RatePolicy, now: datetime) -> int:
        ahead = self.base(name, policy, now) - now
        return (policy.tolerance - ahead) // policy.interval


steps = st.lists(
    st.tuples(
        st.integers(0, 20_000_000),  # microseconds until this step
        st.sampled_from(POLICIES),
        st.integers(1, 3),
        st.sets(st.integers(0, 2), min_size=1),
    ),
    min_size=1,
    max_size=30,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(steps)
def test_every_answer_is_that_of_the_model(kit, steps):
    model, mark, now = Model(), key(), START
    for wait, policy, cost, chosen in steps:
        now += timedelta(microseconds=wait)
        names = [f"{mark}{n}" for n in sorted(chosen)]
        expected = [model.allows(name, policy, cost, now) for name in names]
        if len(names) == 1:
            options = {"cost": cost, "now": now}
            answers = [kit.rate_limits.check(names[0], "test", policy, **options)]
        else:
            asked = [(name, "test", policy) for name in names]
            answers = kit.rate_limits.check_many(asked, cost=cost, now=now)
        assert [answer.allowed for answer in answers] == expected
        for name in names:
            if all(expected):
                model.charge(name, policy, cost, now)
            else:
                model.deny(name, policy, now)
        for name, answer in zip(names, answers, strict=True):
            assert answer.remaining == model.remaining(name, policy, now)
            assert answer.reset_after == model.base(name, policy, now) - now
            if answer.allowed:
                assert answer.retry_after == timedelta(0)
            elif not any(expected):
                later = now + answer.retry_after
                assert model.allows(name, policy, cost, later)
            peeked = kit.rate_limits.peek(name, "test", policy, now=now)
            assert peeked.remaining == answer.remaining


def test_a_denied_caller_is_told_when_to_come_back_to_the_microsecond(kit):
    name, policy = key(), RatePolicy("odd", 7, MINUTE, burst=2)
    for _ in range(2):
        assert kit.rate_limits.check(name, "test", policy, now=START)
    denied = kit.rate_limits.check(name, "test", policy, now=START)
    assert not denied
    due = START + denied.retry_after
    early = due - timedelta(microseconds=1)
    assert not kit.rate_limits.check(name, "test", policy, now=early)
    assert kit.rate_limits.check(name, "test", policy, now=due)


@pytest.mark.parametrize("number", range(4))
def test_exactly_so_many_of_those_who_race_are_let_through(kit, race, number):
    name = key()
    answers = race(lambda _: kit.rate_limits.check(name, "test", TEN), 40)
    assert sum(answer.allowed for answer in answers) == 10
    assert sorted(a.remaining for a in answers if a) == list(range(10))


def test_who_sets_out_before_the_others_were_charged_gets_the_last_unit(kit, superuser):
    name = key()
    with ThreadPoolExecutor(1) as threads:
        with kit.unit_of_work() as uow:
            assert uow.hot.rate_limits.check(name, "test", TEN)
            early = threads.submit(kit.rate_limits.check, name, "test", TEN)
            until(
                lambda: superuser.execute(WAITING).fetchone() == (1,),
                "a caller who waits for the row",
            )
            uow.hot.rate_limits.reset(name, "test")
            for _ in range(9):
                assert uow.hot.rate_limits.check(name, "test", TEN)
        answer = early.result()
    assert (answer.allowed, answer.remaining) == (True, 0)
    assert not kit.rate_limits.check(name, "test", TEN)


def test_who_waited_for_longer_than_a_unit_takes_is_judged_as_all_others(
    kit, superuser
):
    name = key()
    quick = RatePolicy("quick", 3, 3 * UNIT)
    began = monotonic()
    with ThreadPoolExecutor(20) as threads:
        with kit.unit_of_work() as uow:
            assert uow.hot.rate_limits.check(name, "test", quick)
            late = [
                threads.submit(kit.rate_limits.check, name, "test", quick)
                for _ in range(20)
            ]
            until(
                lambda: superuser.execute(WAITING).fetchone()[0] > 5,
                "callers who wait for the row",
            )
            waited = monotonic()
            until(lambda: monotonic() > waited + 1.5 * UNIT.total_seconds(), "a unit")
        allowed = 1 + sum(one.result().allowed for one in late)
    # No more than the burst, and what the time since has paid off.
    assert allowed <= 3 + (monotonic() - began) // UNIT.total_seconds()


def test_a_folded_charge_that_waited_and_is_denied_gives_nothing_back(kit, superuser):
    name = key()
    quick = RatePolicy("quick", 5, 5 * UNIT)
    folded = RateLimits(Coalescing(kit.rate_limits._runner, Limits(alone=0)))
    with ThreadPoolExecutor(1) as threads:
        with kit.unit_of_work() as uow:
            while uow.hot.rate_limits.check(name, "test", quick):
                pass
            late = threads.submit(folded.check, name, "test", quick)
            until(
                lambda: superuser.execute(WAITING).fetchone() == (1,),
                "a batch that waits for the row",
            )
            waited = monotonic()
            until(lambda: monotonic() > waited + 6 * UNIT.total_seconds(), "a burst")
            while uow.hot.rate_limits.check(name, "test", quick):
                emptied = monotonic()
        assert not late.result().allowed
    more = 0
    while kit.rate_limits.check(name, "test", quick):
        more += 1
    assert more <= 1 + (monotonic() - emptied) // UNIT.total_seconds()


@pytest.mark.parametrize("number", range(4))
def test_exactly_so_many_are_let_through_several_keys_at_once(kit, race, number):
    mark = key()

    def check(caller: int) -> bool:
        # Every caller names the keys in an order of its own; the shared one decides.
        asked = [(f"{mark}-all", "test", TEN), (f"{mark}-{caller}", "test", TEN)]
        return all(kit.rate_limits.check_many(asked if caller % 2 else asked[::-1]))

    allowed = race(check, 40)
    assert allowed.count(True) == 10
    for caller, was_allowed in enumerate(allowed):
        left = kit.rate_limits.peek(f"{mark}-{caller}", "test", TEN).remaining
        assert left == (9 if was_allowed else 10)


def test_exactly_so_many_are_let_through_under_asyncio_too(module_settings):
    async def run() -> None:
        async with authkit.connect_async(module_settings) as kit:
            name = key()
            answers = await asyncio.gather(
                *(kit.rate_limits.check(name, "test", TEN) for _ in range(40))
            )
            assert sum(answer.allowed for answer in answers) == 10

    asyncio.run(run())


def test_a_clock_that_went_back_locks_nobody_out_for_longer_than_a_burst(kit):
    name, ahead = key(), START + timedelta(days=365)
    for _ in range(10):
        kit.rate_limits.check(name, "test", TEN, now=ahead)
    denied = kit.rate_limits.check(name, "test", TEN, now=START)
    assert not denied
    assert denied.retry_after <= TEN.tolerance
    assert kit.rate_limits.check(name, "test", TEN, now=START + denied.retry_after)


def test_what_is_denied_writes_nothing(kit, superuser):
    name, policy = key(), RatePolicy("one", 1, MINUTE)
    assert kit.rate_limits.check(name, "test", policy)
    row = "SELECT xmin FROM authkit.rate_limit_tracking WHERE identifier = %s"
    before = superuser.execute(row, (name,)).fetchone()
    for _ in range(5):
        assert not kit.rate_limits.check(name, "test", policy)
    assert superuser.execute(row, (name,)).fetchone() == before


def test_a_policy_may_change_from_one_call_to_the_next(kit):
    name = key()
    strict = RatePolicy("strict", 1, timedelta(hours=1))
    assert kit.rate_limits.check(name, "test", strict, now=START)
    assert not kit.rate_limits.check(name, "test", strict, now=START)
    lenient = RatePolicy("lenient", 1000, timedelta(seconds=1))
    denied = kit.rate_limits.check(name, "test", lenient, now=START)
    assert denied.retry_after == timedelta(milliseconds=1)
    later = START + denied.retry_after
    assert kit.rate_limits.check(name, "test", lenient, now=later)


def test_a_policy_may_be_named(kit):
    kit.rate_limits.define(RatePolicy("login", 2, MINUTE))
    name = key()
    answers = [bool(kit.rate_limits.check(name, "test", "login")) for _ in range(3)]
    assert answers == [True, True, False]
    with pytest.raises(InvalidInput, match="policy"):
        kit.rate_limits.check(name, "test", "unheard-of")


def test_a_blocked_key_is_denied_everything_until_it_is_reset(kit):
    name = key()
    kit.rate_limits.block(name, "test", duration=MINUTE)
    denied = kit.rate_limits.check(name, "test", TEN)
    assert not denied
    assert timedelta(seconds=50) < denied.retry_after <= MINUTE
    assert not kit.rate_limits.peek(name, "test", TEN)
    both = kit.rate_limits.check_many([(name, "test", TEN), (f"{name}x", "test", TEN)])
    assert [answer.allowed for answer in both] == [False, True]
    assert kit.rate_limits.peek(f"{name}x", "test", TEN).remaining == 10
    assert kit.rate_limits.reset(name, "test") is True
    assert kit.rate_limits.reset(name, "test") is False
    assert kit.rate_limits.check(name, "test", TEN)


def test_a_simulated_block_is_over_by_the_clock_it_was_made_with(kit):
    name, then = key(), datetime(2020, 1, 1, tzinfo=UTC)
    kit.rate_limits.block(name, "test", duration=MINUTE, now=then)
    last = then + MINUTE - timedelta(microseconds=1)
    assert not kit.rate_limits.check(name, "test", TEN, now=last)
    after = kit.rate_limits.check(name, "test", TEN, now=then + MINUTE)
    assert (after.allowed, after.remaining) == (True, 9)


@pytest.mark.usefixtures("empty")
def test_a_row_that_says_nothing_may_go(frozen_kit, clock):
    limits = frozen_kit.rate_limits
    limits.check("paid", "test", RatePolicy("short", 1, timedelta(seconds=1)))
    limits.check("owing", "test", RatePolicy("long", 1, timedelta(days=9)))
    limits.block("blocked", "test", duration=timedelta(days=9))
    clock.advance(timedelta(days=2))
    assert limits.purge() == 1
    assert limits.reset("paid", "test") is False
    assert limits.reset("owing", "test") is True
    assert limits.reset("blocked", "test") is True


def test_bad_input_is_refused_before_the_database_is_asked(kit, asked):
    limits = kit.rate_limits
    for call in (
        lambda: limits.check("", "test", TEN),
        lambda: limits.check("a\x00", "test", TEN),
        lambda: limits.check("a" * 201, "test", TEN),
        lambda: limits.check("a", "test", TEN, cost=0),
        lambda: limits.check("a", "test", TEN, cost=-1),
        lambda: limits.check("a", "test", TEN, cost=11),
        lambda: limits.check("a", "test", TEN, now=datetime(2026, 1, 1)),  # noqa: DTZ001 # the point
        lambda: limits.check_many([("a", "b", TEN), ("a", "b", TEN)]),
        lambda: limits.check_many([(str(n), "b", TEN) for n in range(101)]),
        lambda: limits.block("a", "b", duration=timedelta(0)),
        lambda: RatePolicy("Name", 1, MINUTE),
        lambda: RatePolicy("name", 0, MINUTE),
        lambda: RatePolicy("name", 1_000_000, timedelta(microseconds=5)),
    ):
        with pytest.raises(InvalidInput):
            call()
    assert limits.check_many([]) == []
    assert asked == []
