"""The breaker against a plain model, and its rules one by one; the clock is ours."""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from authkit.cluster.breaker import Breaker, BreakerPolicy, BreakerState

POLICY = BreakerPolicy(
    consecutive=3, rate=0.5, volume=10, window_s=10.0, cool_off_s=0.5
)


def failed(times: int, *, now: float = 1.0, served: int = 0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(times):
        breaker = breaker.failed(now, served)
    return breaker


def alternating(times: int, *, successes: int = 1) -> Breaker:
    breaker, served = Breaker(POLICY), 0
    for _ in range(times):
        breaker = breaker.failed(1.0, served)
        served += successes
    return breaker


def test_failures_in_a_row_open_it():
    assert failed(2).allows(1.0)
    opened = failed(3)
    assert opened.state is BreakerState.OPEN
    assert not opened.allows(1e9)


def test_a_success_begins_the_row_again():
    breaker = failed(2).failed(1.0, served=1).failed(1.0, served=1)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.failed(1.0, served=1).state is BreakerState.OPEN


def test_a_share_of_failures_opens_it_once_there_are_enough_requests():
    assert alternating(5).state is BreakerState.CLOSED
    assert alternating(6).state is BreakerState.OPEN


def test_a_small_share_of_failures_among_many_successes_does_not():
    assert alternating(200, successes=100).state is BreakerState.CLOSED


def test_old_failures_are_forgotten_with_their_window():
    breaker = alternating(5)
    assert breaker.failed(20.0, served=9).state is BreakerState.CLOSED
    assert breaker.failed(1.0, served=9).failures == 6


def test_a_window_ends_when_its_seconds_are_over_and_no_sooner():
    begun = Breaker(POLICY).failed(100.0, 0).failed(109.9, 50)
    assert (begun.window_from, begun.failures) == (100.0, 2)
    renewed = begun.failed(110.0, 60)
    assert (renewed.window_from, renewed.failures) == (110.0, 1)
    assert renewed.window_served == 60


def test_what_was_served_before_the_window_does_not_thin_its_failures():
    breaker = Breaker(POLICY).failed(1.0, 1000)
    for served in range(1001, 1005):
        breaker = breaker.failed(1.0, served)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.failed(1.0, 1005).state is BreakerState.OPEN


def test_half_of_exactly_the_volume_is_enough():
    breaker = Breaker(POLICY).failed(1.0, 0).failed(1.0, 1).failed(1.0, 2)
    assert breaker.failed(1.0, 3).failed(1.0, 5).state is BreakerState.OPEN


def test_it_keeps_its_policy_through_every_state():
    opened = failed(3)
    half = opened.probed(2.0)
    for state in (opened, half, half.tried(2.0), half.tried(2.0).succeeded()):
        assert state.policy is POLICY


def test_a_trial_that_failed_leaves_nothing_for_the_next_one():
    again = failed(3).probed(2.0).tried(2.0).failed(2.1, 0).probed(3.0)
    assert again.allows(3.0)


def test_only_a_probe_after_the_cool_off_half_opens_it():
    opened = failed(3, now=1.0)
    assert opened.probed(1.2).state is BreakerState.OPEN
    assert opened.succeeded().state is BreakerState.OPEN
    assert opened.probed(1.5).state is BreakerState.HALF_OPEN


def test_half_open_lets_one_request_through():
    half = failed(3).probed(2.0)
    assert half.allows(2.0)
    # What was answered then had set out before it opened, and proves nothing.
    assert half.succeeded() is half
    trying = half.tried(2.0)
    assert not trying.allows(2.1)
    assert trying.succeeded().state is BreakerState.CLOSED
    assert trying.failed(2.2, 0).state is BreakerState.OPEN


def test_a_trial_that_never_reported_does_not_bar_the_node_for_ever():
    trying = failed(3).probed(2.0).tried(2.0)
    assert not trying.allows(1.9 + POLICY.window_s)
    assert trying.allows(2.0 + POLICY.window_s)


class AgainstAModel(RuleBasedStateMachine):
    """The same rules, kept as lists of what happened."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.served = 0
        self.breaker = Breaker(POLICY)
        self.close()

    def close(self) -> None:
        self.state, self.trying = "closed", False
        self.row, self.window = 0, []
        self.window_from: float | None = None

    def open(self) -> None:
        self.state, self.opened_at = "open", self.now

    @rule(seconds=st.sampled_from([0.1, 0.5, 3.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def fails(self) -> None:
        self.breaker = self.breaker.failed(self.now, self.served)
        if self.state == "half-open":
            self.open()
        elif self.state == "closed":
            begun = self.window_from
            if begun is None or self.now - begun >= POLICY.window_s:
                self.window, self.window_from = [], self.now
            self.row += 1
            self.window.append(False)
            many = len(self.window) >= POLICY.volume
            share = self.window.count(False) / len(self.window)
            if self.row >= POLICY.consecutive or (many and share >= POLICY.rate):
                self.open()

    @rule(times=st.integers(1, 5))
    def serves(self, times: int) -> None:
        self.served += times
        self.row = 0
        self.window += [True] * times

    @rule()
    def answers_the_trial(self) -> None:
        self.breaker = self.breaker.succeeded()
        if self.state == "half-open" and self.trying:
            self.close()

    @rule()
    def is_probed(self) -> None:
        self.breaker = self.breaker.probed(self.now)
        if self.state == "open" and self.now - self.opened_at >= POLICY.cool_off_s:
            self.state, self.trying = "half-open", False

    @rule()
    def is_tried(self) -> None:
        if self.breaker.allows(self.now):
            self.breaker = self.breaker.tried(self.now)
            self.trying = self.state == "half-open"

    @invariant()
    def both_agree(self) -> None:
        assert self.breaker.state.value == self.state
        if self.state != "half-open":
            assert self.breaker.allows(self.now) == (self.state == "closed")


AgainstAModel.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestAgainstAModel = AgainstAModel.TestCase
