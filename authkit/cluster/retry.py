"""When a whole transaction runs again: how often, how late, and at whose expense. Pure.

Delays are full jitter (Brooker, "Exponential Backoff and Jitter", AWS Architecture
Blog, 2015), so that callers who failed together do not come back together. Repetitions
that an outage causes are paid from a budget which only successes fill.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from authkit.cluster.classify import Action

# The first repetition on another node waits for nothing but a little spread: the route
# to it exists only once the failover is over.
MOVE_SPREAD_S = 0.02


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after what delay; times in seconds."""

    max_retries: int = 3
    base_s: float = 1.0
    multiplier: float = 2.0
    cap_s: float = 30.0

    def delay(
        self, action: Action, repetition: int, chance: Callable[[], float]
    ) -> float:
        """Return the seconds before a repetition (the first is 1).

        Args:
            action: what the fault asks for.
            repetition: which one it would be.
            chance: a number in [0, 1).
        """
        moves = action in {Action.ELSEWHERE, Action.RECONNECT, Action.DEALLOCATE}
        if moves and repetition == 1:
            return MOVE_SPREAD_S * chance()
        steps = repetition - 2 if moves else repetition - 1
        try:
            window = self.base_s * self.multiplier**steps
        except OverflowError:
            window = self.cap_s
        return chance() * min(window, self.cap_s)

    def allows(self, action: Action, repetition: int) -> bool:
        """Whether the transaction may run once more."""
        if not action.repeats:
            return False
        # Prepared statements are forgotten once: a second time it is not about them.
        most = 1 if action is Action.DEALLOCATE else self.max_retries
        return repetition <= most


class RetryBudget:
    """What repetitions may cost in an outage: a tenth of what succeeds.

    Rolled back transactions are not charged: to repeat them is how serializable
    isolation works, and their number is bounded by the policy.

    Args:
        ratio: repetitions per success.
        reserve: repetitions there are at the beginning, and at most in store.
    """

    __slots__ = ("_balance", "_lock", "ratio", "reserve")

    def __init__(self, ratio: float = 0.1, reserve: float = 20.0) -> None:
        self.ratio = ratio
        self.reserve = reserve
        self._balance = reserve
        self._lock = threading.Lock()

    @property
    def balance(self) -> float:
        """Repetitions that are left."""
        return self._balance

    def succeeded(self) -> None:
        """A transaction committed. Not exact where many threads do at once."""
        if self._balance < self.reserve:
            self._balance = min(self.reserve, self._balance + self.ratio)

    def spend(self, action: Action) -> bool:
        """Take what a repetition costs; False where there is not enough."""
        if action in {Action.REPEAT, Action.DEALLOCATE}:
            return True
        with self._lock:
            if self._balance < 1:
                return False
            self._balance -= 1
        return True
