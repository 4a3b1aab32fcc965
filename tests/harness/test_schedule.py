from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.harness.schedule import Schedule, offsets


@given(
    st.sampled_from(["poisson", "uniform"]),
    st.floats(min_value=1, max_value=500),
    st.floats(min_value=0.1, max_value=10),
    st.integers(),
)
def test_arrivals_rise_and_end_in_time(kind, rate: float, seconds: float, seed: int):
    due = list(offsets(kind, rate, seconds, seed))
    assert due == sorted(due)
    assert all(0 <= at < seconds for at in due)


def test_both_kinds_keep_the_asked_rate():
    assert len(list(offsets("uniform", 100, 10, seed=1))) == 1000
    assert len(list(offsets("poisson", 1000, 10, seed=1))) == pytest.approx(
        10_000, rel=0.05
    )


def test_poisson_gaps_are_exponential_and_uniform_ones_are_equal():
    def gaps(kind) -> list[float]:
        due = list(offsets(kind, 100, 100, seed=7))
        return [after - before for before, after in itertools.pairwise(due)]

    # The standard deviation of an exponential distribution is its mean.
    assert statistics.stdev(gaps("poisson")) == pytest.approx(0.01, rel=0.05)
    assert statistics.stdev(gaps("uniform")) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (-1, 1), (1, 0)])
def test_a_schedule_without_rate_or_end_is_refused(rate: float, seconds: float):
    with pytest.raises(InvalidInput):
        offsets("poisson", rate, seconds, seed=0)


def test_an_arrival_in_the_future_is_slept_for_and_its_lag_is_the_overshoot():
    due = Schedule(iter([0.5]), start_s=100.0).pull(now_s=100.2)
    assert due is not None
    assert (due.at_s, due.wait_s, due.late) == (100.5, pytest.approx(0.3), False)
    assert due.lag_s(now_s=100.504) == pytest.approx(0.004)


def test_an_arrival_nobody_was_free_for_is_late_and_not_the_generators_lag():
    due = Schedule(iter([0.5]), start_s=100.0).pull(now_s=102.0)
    assert due is not None
    assert (due.wait_s, due.overdue_s, due.late) == (0.0, 1.5, True)
    assert due.lag_s(now_s=102.5) == 0.0


def test_arrivals_overdue_beyond_patience_are_given_up_and_counted():
    schedule = Schedule(iter([0.5, 1.0, 11.5]), start_s=100.0, patience_s=10)
    due = schedule.pull(now_s=112.0)
    assert due is not None
    assert (due.at_s, schedule.skipped) == (111.5, 2)


def test_what_nobody_was_free_for_when_the_run_ends_is_counted_once():
    schedule = Schedule(itertools.count(1.0), start_s=100.0)
    assert schedule.pull(now_s=100.0) is not None
    assert schedule.end(now_s=105.5) == 4  # due at 102 to 105
    assert schedule.end(now_s=109.5) == 0
    assert schedule.pull(now_s=110.0) is None


def test_after_the_last_arrival_there_is_none():
    assert Schedule(iter([]), start_s=0.0).pull(now_s=0.0) is None


@given(st.lists(st.floats(0, 100), max_size=50), st.lists(st.floats(0, 120)))
def test_every_arrival_is_handed_out_once_or_counted_as_given_up(offsets_s, moments):
    schedule = Schedule(iter(sorted(offsets_s)), start_s=0.0, patience_s=5.0)
    handed = [schedule.pull(now) for now in sorted(moments)]
    rest = 0
    while schedule.pull(now_s=0.0) is not None:
        rest += 1
    taken = sum(due is not None for due in handed)
    assert taken + rest + schedule.skipped == len(offsets_s)
