"""The breaker against a plain model, and its rules one by one; the clock is ours."""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from authkit.cluster.breaker import Breaker, BreakerPolicy, BreakerState

POLICY = BreakerPolicy(
    consecutive=3, rate=0.5, volume=10, window_s=10.0, cool_off_s=0.5
)


def failed(breaker: Breaker, times: int, now: float = 1.0) -> Breaker:
    for _ in range(times):
        breaker = breaker.failed(now)
    return breaker


def test_failures_in_a_row_open_it():
    assert failed(Breaker(POLICY), 2).allows(1.0)
    opened = failed(Breaker(POLICY), 3)
    assert opened.state is BreakerState.OPEN
    assert not opened.allows(1e9)


def test_a_success_begins_the_row_again():
    breaker = failed(Breaker(POLICY), 2).succeeded(1.0)
    assert failed(breaker, 2).state is BreakerState.CLOSED


def test_a_share_of_failures_opens_it_once_there_are_enough_requests():
    breaker = Breaker(POLICY)
    for _ in range(5):
        breaker = breaker.succeeded(1.0).failed(1.0)
    assert breaker.state is BreakerState.OPEN
    few = Breaker(POLICY)
    for _ in range(4):
        few = few.succeeded(1.0).failed(1.0)
    assert few.state is BreakerState.CLOSED


def test_old_failures_are_forgotten_with_their_window():
    breaker = Breaker(POLICY)
    for _ in range(4):
        breaker = breaker.succeeded(1.0).failed(1.0)
    breaker = breaker.succeeded(20.0).failed(20.0)
    assert breaker.state is BreakerState.CLOSED


def test_only_a_probe_after_the_cool_off_half_opens_it():
    opened = failed(Breaker(POLICY), 3, now=1.0)
    assert opened.probed(1.2).state is BreakerState.OPEN
    assert opened.succeeded(5.0).state is BreakerState.OPEN
    assert opened.probed(1.5).state is BreakerState.HALF_OPEN


def test_half_open_lets_one_request_through():
    half = failed(Breaker(POLICY), 3).probed(2.0)
    assert half.allows(2.0)
    trying = half.tried(2.0)
    assert not trying.allows(2.1)
    assert trying.succeeded(2.2).state is BreakerState.CLOSED
    assert trying.failed(2.2).state is BreakerState.OPEN


def test_a_trial_that_never_reported_does_not_bar_the_node_for_ever():
    trying = failed(Breaker(POLICY), 3).probed(2.0).tried(2.0)
    assert trying.allows(2.0 + POLICY.window_s)


class AgainstAModel(RuleBasedStateMachine):
    """The same rules, kept as lists of what happened."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.breaker = Breaker(POLICY)
        self.state = "closed"
        self.row = 0
        self.window: list[bool] = []
        self.window_from = 0.0
        self.opened_at = 0.0
        self.trying = False

    def roll(self) -> None:
        if self.now - self.window_from >= POLICY.window_s:
            self.window, self.window_from = [], self.now

    def open(self) -> None:
        self.state, self.opened_at = "open", self.now

    @rule(seconds=st.sampled_from([0.1, 0.5, 3.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def fails(self) -> None:
        self.breaker = self.breaker.failed(self.now)
        if self.state == "half-open":
            self.open()
        elif self.state == "closed":
            self.roll()
            self.row += 1
            self.window.append(False)
            many = len(self.window) >= POLICY.volume
            share = self.window.count(False) / len(self.window)
            if self.row >= POLICY.consecutive or (many and share >= POLICY.rate):
                self.open()

    @rule()
    def succeeds(self) -> None:
        self.breaker = self.breaker.succeeded(self.now)
        if self.state == "half-open" and self.trying:
            self.state, self.row, self.trying = "closed", 0, False
            self.window, self.window_from = [], self.now
        elif self.state == "closed":
            self.roll()
            self.row = 0
            self.window.append(True)

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
