from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.harness.schedule import Schedule, offsets


class Clock:
    """A clock that moves when somebody sleeps, a little longer than asked."""

    def __init__(self, overshoot: float = 0.0) -> None:
        self.now = 100.0
        self.overshoot = overshoot

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.overshoot


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


def test_an_arrival_in_the_future_is_waited_for_and_its_lag_is_the_overshoot():
    clock = Clock(overshoot=0.004)
    schedule = Schedule(iter([0.5]), clock=clock, sleep=clock.sleep)
    arrival = schedule.take()
    assert arrival is not None
    assert arrival.due_s == 100.5
    assert arrival.lag_s == pytest.approx(0.004)
    assert not arrival.late


def test_an_arrival_nobody_was_free_for_is_late_and_not_the_generators_lag():
    clock = Clock()
    schedule = Schedule(iter([0.5]), clock=clock, sleep=clock.sleep)
    clock.now += 2
    arrival = schedule.take()
    assert arrival is not None
    assert (arrival.due_s, arrival.lag_s, arrival.late) == (100.5, 0.0, True)


def test_arrivals_overdue_beyond_patience_are_given_up_and_counted():
    clock = Clock()
    schedule = Schedule(
        iter([0.5, 1.0, 11.5]), clock=clock, sleep=clock.sleep, patience_s=10
    )
    clock.now += 12
    arrival = schedule.take()
    assert arrival is not None
    assert (arrival.due_s, schedule.skipped) == (111.5, 2)


def test_after_the_last_arrival_there_is_none():
    clock = Clock()
    assert Schedule(iter([]), clock=clock, sleep=clock.sleep).take() is None
