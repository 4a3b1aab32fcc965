"""A day is 24 hours long, whatever zone the server has and whatever its clocks do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

import authkit
from authkit.hot import Allowance, AttemptRecord, RatePolicy, Throttle, sessions
from authkit.hot._sync import statement
from authkit.hot.batches import FoldedCharge
from authkit.hot.folding import FOLDS
from authkit.ids import uuid7
from authkit.settings import Settings

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
# In Berlin the night that follows lasts an hour less; the other one, an hour more.
SPRING = datetime(2027, 3, 27, 12, tzinfo=UTC)
AUTUMN = datetime(2027, 10, 30, 12, tzinfo=UTC)
ONCE = RatePolicy("once", 1, DAY)


@pytest.fixture(scope="module")
def berlin(clock, database) -> Iterator[authkit.Kit]:
    """A kit whose sessions have a zone with summer time, and the test's clock."""
    path = "-csearch_path%3Dfrozen,pg_catalog,authkit"
    url = f"{database.url}?options={path}%20-ctimezone%3DEurope/Berlin"
    settings = Settings.load(
        env_file=None, database_url=url, authkit_token_key="A" * 43 + "="
    )
    with authkit.connect(settings) as opened:
        yield opened


@pytest.fixture(params=["alone", "within"])
def hot(berlin, request):
    """What runs a call: by itself, or in somebody's transaction."""
    if request.param == "alone":
        yield berlin.hot
        return
    with berlin.unit_of_work() as uow:
        yield uow.hot


@pytest.mark.parametrize("begin", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_a_limit_of_a_day_is_paid_off_after_24_hours(hot, begin):
    keys = [(uuid7().hex, "login", ONCE)]
    one = (uuid7().hex, "login", ONCE)
    assert hot.rate_limits.check(*one, now=begin).reset_after == DAY
    assert all(hot.rate_limits.check_many(keys, now=begin))
    early = begin + DAY - HOUR / 2
    assert hot.rate_limits.peek(*one, now=early).reset_after == HOUR / 2
    assert hot.rate_limits.check(*one, now=early).retry_after == HOUR / 2
    (many,) = hot.rate_limits.check_many(keys, now=early)
    assert many.retry_after == HOUR / 2
    assert hot.rate_limits.check(*one, now=begin + DAY)
    assert all(hot.rate_limits.check_many(keys, now=begin + DAY))


@pytest.mark.parametrize("begin", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_a_session_lives_as_long_as_was_said(hot, clock, begin, user_id):
    now = clock.advance(begin - clock.now)
    made = hot.sessions.create(user_id, lifetime=3 * DAY, idle_timeout=2 * DAY)
    assert made.expires_at == now + 3 * DAY
    extended = hot.sessions.extend(made.id, idle_timeout=DAY)
    assert extended.idle_until == now + DAY
    extended = hot.sessions.extend(made.id, idle_timeout=7 * DAY)
    assert extended.idle_until == made.expires_at


def test_a_window_of_a_day_ends_after_24_hours(berlin, clock):
    clock.advance(SPRING - clock.now)
    once = Throttle(network=Allowance(1, DAY))
    guess = AttemptRecord(outcome="pending", subject=bytes(32), ip="192.0.2.1")
    assert berlin.attempts.reserve(guess, throttle=once)
    assert berlin.attempts.reserve(guess, throttle=once).retry_after == DAY
    assert berlin.logins.begin("ada", ip="192.0.2.1", throttle=once)
    denied = berlin.logins.begin("ada", ip="192.0.2.1", throttle=once)
    assert denied.retry_after == DAY


def test_folded_charges_are_told_apart_by_24_hours():
    arrival = (SPRING + DAY).astimezone(ZoneInfo("Europe/Berlin"))
    row = FoldedCharge("who", "login", 2, arrival, arrival, None)
    call = ("who", "login", "once", DAY, 2 * DAY, None)
    answers = FOLDS["rate_limits.check"].answers([call, call], [row])
    assert [one.rows[0].arrival for one in answers] == [SPRING, SPRING + DAY]


def test_what_the_caller_does_in_the_transaction_is_written_as_ever(berlin, user_id):
    with berlin.cluster.writer() as connection, connection.transaction():
        statement.execute(connection, sessions.TOUCH, (user_id, DAY))
        row = connection.execute(
            "SELECT timestamptz '2027-03-27 12:00+01' + %s", [DAY]
        ).fetchone()
    assert row == (datetime(2027, 3, 28, 10, tzinfo=UTC),)
