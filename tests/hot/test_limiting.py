"""What a charge means for its caller: the arithmetic, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from authkit.errors import InvalidInput
from authkit.hot.limiting import (
    MAX_BURST,
    LimitKey,
    RateDecision,
    RatePolicy,
    decision,
)
from authkit.hot.rate_limits import Charge

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
# A unit takes 6 s, three may come at once.
POLICY = RatePolicy("login", 10, timedelta(minutes=1), burst=3)


def charged(
    ahead_s: float, *, allowed: bool = True, blocked_s: float | None = None
) -> RateDecision:
    blocked = None if blocked_s is None else NOW + timedelta(seconds=blocked_s)
    arrival = NOW + timedelta(seconds=ahead_s)
    charge = Charge(0, True, allowed, NOW, arrival, blocked)
    return decision(charge, POLICY, POLICY.interval)


def test_a_policy_is_an_interval_and_a_tolerance():
    assert (POLICY.interval, POLICY.tolerance) == (6 * SECOND, 18 * SECOND)
    assert RatePolicy("whole", 10, timedelta(minutes=1)).burst == 10
    assert POLICY.increment(3) == 18 * SECOND
    exact = RatePolicy("fast", 1_000_000, SECOND)
    assert exact.interval == timedelta(microseconds=1)


@pytest.mark.parametrize("cost", [0, -1, 4, 10**9])
def test_a_charge_that_could_never_pass_is_refused(cost):
    with pytest.raises(InvalidInput, match="cost"):
        POLICY.increment(cost)


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": 0},
        {"limit": MAX_BURST + 1},
        {"burst": -1},
        {"burst": MAX_BURST + 1},
        {"period": timedelta(0)},
        {"limit": 1_000_000, "period": timedelta(microseconds=999_999)},
        {"name": "Login"},
    ],
)
def test_a_policy_out_of_range_is_refused(fields):
    with pytest.raises(InvalidInput):
        RatePolicy(**({"name": "login", "limit": 10, "period": SECOND} | fields))
    assert RatePolicy("login", MAX_BURST, SECOND, MAX_BURST).burst == MAX_BURST


@pytest.mark.parametrize(
    ("ahead_s", "remaining"), [(6, 2), (12, 1), (12.1, 0), (18, 0), (-5, 3)]
)
def test_what_was_let_through_tells_how_many_more_may_come_at_once(ahead_s, remaining):
    found = charged(ahead_s)
    assert found
    assert (found.allowed, found.remaining) == (True, remaining)
    assert found.retry_after == timedelta(0)
    assert found.reset_after == max(timedelta(seconds=ahead_s), timedelta(0))


def test_what_was_denied_tells_when_it_would_be_let_through():
    found = charged(15, allowed=False)
    assert not found
    assert (found.remaining, found.blocked_until) == (0, None)
    assert found.retry_after == 3 * SECOND
    assert found.reset_after == 15 * SECOND


def test_nobody_who_was_denied_comes_back_at_once():
    assert charged(0, allowed=False).retry_after == POLICY.interval


def test_a_block_outlasts_what_the_units_say():
    found = charged(15, allowed=False, blocked_s=40)
    assert (found.retry_after, found.reset_after) == (40 * SECOND, 40 * SECOND)
    assert found.blocked_until == NOW + 40 * SECOND
    short = charged(18, allowed=False, blocked_s=1)
    assert (short.retry_after, short.reset_after) == (6 * SECOND, 18 * SECOND)
    assert charged(0, allowed=True, blocked_s=5).remaining == 0
    assert not charged(0, allowed=True, blocked_s=5)


def test_a_block_that_is_over_says_nothing():
    found = charged(6, blocked_s=0)
    assert (found.allowed, found.blocked_until) == (True, None)


@pytest.mark.parametrize(
    "key",
    [
        LimitKey("", "login"),
        LimitKey("x", ""),
        LimitKey("x" * 201, "login"),
        LimitKey("x", "r" * 101),
        LimitKey("a\0b", "login"),
    ],
)
def test_a_key_that_the_table_cannot_hold_is_refused(key):
    with pytest.raises(InvalidInput):
        key.checked()
    whole = LimitKey("x" * 200, "r" * 100)
    assert whole.checked() is whole


def test_no_policy_asks_for_more_than_a_century():
    century = timedelta(days=36_525)
    assert RatePolicy("rare", 1, century / 4, burst=4).tolerance == century
    for burst in (5, MAX_BURST):
        with pytest.raises(InvalidInput, match="century"):
            RatePolicy("rare", 1, century / 4, burst=burst)
    with pytest.raises(InvalidInput, match="century"):
        RatePolicy("rare", 1, century, burst=MAX_BURST)


def test_the_smallest_policy_is_one_unit_at_once():
    least = RatePolicy("least", 1, 6 * SECOND, burst=1)
    assert (least.interval, least.tolerance) == (6 * SECOND, 6 * SECOND)
    assert least.increment(1) == 6 * SECOND
    wider = RatePolicy("wider", 10, 60 * SECOND, burst=3)
    assert wider.tolerance == 18 * SECOND


def test_what_was_charged_under_a_wider_policy_leaves_nothing_and_no_debt():
    # The row was charged when more was allowed at once than is now.
    found = charged(60, allowed=False)
    assert (found.remaining, found.retry_after) == (0, 48 * SECOND)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: RatePolicy("No Slug", 1, SECOND), "policy"),
        (lambda: RatePolicy("login", 0, SECOND), "limit"),
        (lambda: RatePolicy("login", 1, -SECOND), "period"),
        (lambda: RatePolicy("login", 1, SECOND, burst=-1), "burst"),
        (lambda: RatePolicy("login", 7, timedelta(microseconds=6)), "microsecond"),
        (lambda: POLICY.increment(0), "cost"),
        (lambda: LimitKey("", "login").checked(), "identifier"),
        (lambda: LimitKey("me", "").checked(), "resource"),
    ],
)
def test_what_is_refused_is_named(build, name: str):
    with pytest.raises(InvalidInput, match=rf"\b{name}\b"):
        build()
