"""A circuit breaker per node: failures in a row or a share of a window, then one try.

Pure: the clock and the node's count of served requests are arguments, so that success
costs nothing while it is closed. Saturation is no failure of the node and must never
be reported here. Opened, it lets nothing through; a probe that succeeds makes it
half-open, in which one request may try; its outcome closes or opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final


class BreakerState(Enum):
    """Whether requests pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


# A member of an enumeration is looked up by a function in Python 3.11, eight times as
# slow as a name: what every lease asks for is kept by one.
CLOSED: Final = BreakerState.CLOSED


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
    """The state; every method returns the next one.

    `served` is what the node's count stood at when the last failure came, and
    `window_served` what it stood at when the window began.
    """

    policy: BreakerPolicy = BreakerPolicy()
    state: BreakerState = BreakerState.CLOSED
    row: int = 0
    served: int = 0
    failures: int = 0
    window_from: float = float("-inf")
    window_served: int = 0
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

    def failed(self, now: float, served: int) -> Breaker:
        """A request failed for a reason that lies with the node.

        Args:
            now: the monotonic clock.
            served: how many requests the node has served in all.
        """
        if self.state is BreakerState.OPEN:
            return self
        if self.state is BreakerState.HALF_OPEN:
            return self._opened(now)
        current = self
        if now - self.window_from >= self.policy.window_s:
            current = replace(self, window_from=now, window_served=served, failures=0)
        row = current.row + 1 if served == current.served else 1
        failures = current.failures + 1
        total = failures + served - current.window_served
        if row >= self.policy.consecutive or (
            total >= self.policy.volume and failures / total >= self.policy.rate
        ):
            return self._opened(now)
        return replace(current, row=row, served=served, failures=failures)

    def succeeded(self) -> Breaker:
        """The trial was answered; while it is closed nobody need say so."""
        if self.state is not BreakerState.HALF_OPEN or self.trying_since is None:
            return self
        return Breaker(self.policy)

    def probed(self, now: float) -> Breaker:
        """The node answered a probe: after the cool-off, one request may try."""
        if (
            self.state is BreakerState.OPEN
            and now - self.opened_at >= self.policy.cool_off_s
        ):
            return replace(self, state=BreakerState.HALF_OPEN)
        return self

    def _opened(self, now: float) -> Breaker:
        return Breaker(self.policy, state=BreakerState.OPEN, opened_at=now)
