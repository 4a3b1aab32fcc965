"""Delays, limits and the budget; the clock and chance are ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import DeadlockDetected

from authkit.cluster.attempt import (
    Again,
    Isolation,
    Wanted,
    driver_error,
    next_delay,
)
from authkit.cluster.classify import Action, Intent, Phase, decide
from authkit.cluster.retry import MOVE_SPREAD_S, RetryBudget, RetryPolicy
from authkit.errors import DeadlineExceeded, InvalidInput

REPEATING = [action for action in Action if action.repeats]
POLICY = RetryPolicy(max_retries=3, base_s=1.0, multiplier=2.0, cap_s=5.0)


def full() -> float:
    return 1.0


@given(
    action=st.sampled_from(REPEATING),
    repetition=st.integers(1, 2000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_delay_is_anything_from_nothing_to_the_window(action, repetition, chance):
    delay = POLICY.delay(action, repetition, lambda: chance)
    assert 0 <= delay <= POLICY.delay(action, repetition, full) <= POLICY.cap_s


def test_windows_grow_by_the_multiplier_up_to_the_cap():
    windows = [POLICY.delay(Action.REPEAT, n, full) for n in (1, 2, 3, 4)]
    assert windows == [1.0, 2.0, 4.0, 5.0]


def test_the_first_repetition_elsewhere_waits_for_the_route_only():
    assert POLICY.delay(Action.ELSEWHERE, 1, full) == MOVE_SPREAD_S
    assert POLICY.delay(Action.ELSEWHERE, 2, full) == 1.0


@pytest.mark.parametrize("action", Action)
def test_repetitions_are_limited_and_only_safe_ones_are_made(action):
    allowed = [n for n in range(1, 9) if POLICY.allows(action, n)]
    if not action.repeats:
        assert allowed == []
    elif action is Action.DEALLOCATE:
        assert allowed == [1]
    else:
        assert allowed == [1, 2, 3]


def test_no_repetition_begins_after_the_deadline():
    decide = {"repetition": 1, "chance": full}
    assert next_delay(POLICY, Action.REPEAT, left_s=0.9, **decide) is None
    assert next_delay(POLICY, Action.REPEAT, left_s=1.0, **decide) is None
    assert next_delay(POLICY, Action.REPEAT, left_s=1.1, **decide) == 1.0
    elsewhere = next_delay(POLICY, Action.ELSEWHERE, left_s=9, **decide)
    assert elsewhere == MOVE_SPREAD_S
    assert next_delay(POLICY, Action.STOP, left_s=9, **decide) is None


def test_a_full_outage_costs_no_more_than_the_reserve():
    budget = RetryBudget(ratio=0.1, reserve=20)
    calls = 1000
    repeated = sum(
        budget.spend(Action.RECONNECT) for _ in range(calls) for _ in range(3)
    )
    assert (calls + repeated) / calls <= 1.1


def test_successes_fill_the_budget_by_their_tenth_and_no_further_than_the_reserve():
    budget = RetryBudget(ratio=0.1, reserve=5)
    while budget.spend(Action.ELSEWHERE):
        pass
    for _ in range(21):
        budget.succeeded()
    assert [budget.spend(Action.ELSEWHERE) for _ in range(3)] == [True, True, False]
    for _ in range(1000):
        budget.succeeded()
    assert budget.balance == 5


def test_the_budget_that_is_shipped_is_a_tenth_and_twenty():
    budget = RetryBudget()
    assert [budget.spend(Action.ELSEWHERE) for _ in range(21)] == [True] * 20 + [False]
    for _ in range(10):
        budget.succeeded()
    assert budget.balance == pytest.approx(1)


def test_rolled_back_transactions_are_not_charged():
    budget = RetryBudget(reserve=0)
    assert budget.spend(Action.REPEAT)
    assert not budget.spend(Action.RECONNECT)


@given(
    outcomes=st.lists(st.booleans(), max_size=300),
    reserve=st.floats(0, 50),
)
def test_what_is_repeated_never_exceeds_reserve_and_a_tenth_of_successes(
    outcomes, reserve
):
    budget = RetryBudget(ratio=0.1, reserve=reserve)
    spent = 0
    for succeeded in outcomes:
        if succeeded:
            budget.succeeded()
        else:
            spent += budget.spend(Action.ELSEWHERE)
    assert spent <= reserve + 0.1 * sum(outcomes) + 1e-6


def test_a_transaction_opens_in_one_message():
    assert Wanted().begin(0.0) == "BEGIN"
    wanted = Wanted(Intent.READ, deadline=2.0, isolation=Isolation.SERIALIZABLE)
    assert wanted.begin(0.5) == (
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; "
        "SET LOCAL statement_timeout = 1510"
    )
    # Zero would be no limit at all.
    for late in (2.0, 5.0):
        assert wanted.begin(late).endswith("SET LOCAL statement_timeout = 10")


def test_a_wait_ends_at_the_deadline_or_before():
    wanted = Wanted(deadline=10.0, acquire_s=5.0)
    assert wanted.patience(1.0) == 5.0
    assert wanted.patience(8.0) == 2.0
    assert wanted.patience(9.75) == 0.25
    with pytest.raises(DeadlineExceeded, match="nothing was applied"):
        wanted.patience(10.0)


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b"])
def test_a_write_key_is_checked_before_anything_is_sent(key):
    with pytest.raises(InvalidInput):
        Wanted(key=key)


def test_a_read_takes_no_write_key():
    with pytest.raises(InvalidInput, match="a read needs no write key"):
        Wanted(Intent.READ, key="k")


def test_the_driver_s_error_is_found_in_itself_and_under_one_of_ours_only():
    told = DeadlockDetected()
    assert driver_error(told, None) is told
    ours, another = InvalidInput("no"), ValueError("no")
    assert driver_error(ours, None) is None
    ours.__cause__ = another.__cause__ = told
    assert driver_error(ours, told) is told
    assert driver_error(another, told) is None


def test_an_error_of_another_connection_is_not_judged_again():
    ours = InvalidInput("no")
    ours.__cause__ = DeadlockDetected()
    assert driver_error(ours, None) is None
    assert driver_error(ours, DeadlockDetected()) is None


def test_a_deadline_beyond_the_server_s_clock_is_the_client_s_alone():
    days = 86_400.0
    assert "statement_timeout = 2073600010" in Wanted(deadline=24 * days).begin(0.0)
    assert Wanted(deadline=25 * days).begin(0.0) == "BEGIN"


def test_an_attempt_that_may_be_made_again_carries_what_to_raise_otherwise():
    error = InvalidInput("why")
    fault = decide("40001", phase=Phase.WORK, intent=Intent.WRITE)
    again = Again(error, fault)
    assert (again.error, again.fault, again.delay_s) == (error, fault, None)
    assert str(again) == "why"
