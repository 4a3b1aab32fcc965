"""A circuit breaker per node: consecutive failures and a windowed rate, then one try.

Pure: the clock is an argument. Saturation is not a failure of the node and must never
be reported here. Opened, it lets nothing through; a probe that succeeds makes it
half-open, in which one request may try; its outcome closes or opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class BreakerState(Enum):
    """Whether requests pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When it opens: so many failures in a row, or such a share of a window."""

    consecutive: int = 5
    rate: float = 0.5
    volume: int = 20
    window_s: float = 10.0
    cool_off_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state; every method returns the next one."""

    policy: BreakerPolicy = BreakerPolicy()
    state: BreakerState = BreakerState.CLOSED
    row: int = 0
    window_from: float = 0.0
    failures: int = 0
    successes: int = 0
    opened_at: float = 0.0
    trying_since: float | None = None

    def allows(self, now: float) -> bool:
        """Whether a request may pass now."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            return False
        # A trial whose outcome was never reported must not bar the node for ever.
        return (
            self.trying_since is None or now - self.trying_since >= self.policy.window_s
        )

    def tried(self, now: float) -> Breaker:
        """The one request of the half-open state has set out."""
        if self.state is not BreakerState.HALF_OPEN:
            return self
        return replace(self, trying_since=now)

    def failed(self, now: float) -> Breaker:
        """A request failed for a reason that lies with the node."""
        if self.state is BreakerState.OPEN:
            return self
        if self.state is BreakerState.HALF_OPEN:
            return self._opened(now)
        current = self._windowed(now)
        row, failures = current.row + 1, current.failures + 1
        total = failures + current.successes
        if row >= self.policy.consecutive or (
            total >= self.policy.volume and failures / total >= self.policy.rate
        ):
            return self._opened(now)
        return replace(current, row=row, failures=failures)

    def succeeded(self, now: float, count: int = 1) -> Breaker:
        """So many requests were answered."""
        if self.state is BreakerState.OPEN or count <= 0:
            return self
        if self.state is BreakerState.HALF_OPEN:
            if self.trying_since is None:
                return self
            return Breaker(self.policy, window_from=now)
        current = self._windowed(now)
        return replace(current, row=0, successes=current.successes + count)

    def probed(self, now: float) -> Breaker:
        """The node answered a probe: after the cool-off, one request may try."""
        if (
            self.state is BreakerState.OPEN
            and now - self.opened_at >= self.policy.cool_off_s
        ):
            return replace(self, state=BreakerState.HALF_OPEN, trying_since=None)
        return self

    def _opened(self, now: float) -> Breaker:
        return Breaker(self.policy, state=BreakerState.OPEN, opened_at=now)

    def _windowed(self, now: float) -> Breaker:
        if now - self.window_from < self.policy.window_s:
            return self
        return replace(self, window_from=now, failures=0, successes=0)
