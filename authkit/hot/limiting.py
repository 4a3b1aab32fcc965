"""Policies of a limiter and its answers; the arithmetic, without a database.

All times are whole microseconds, as PostgreSQL's are, so that the same numbers come out
in Python and in SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.hot.rate_limits import Charge

MAX_BURST = 1_000_000
_TICK = timedelta(microseconds=1)
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """So many units within a period, and at most `burst` of them at once.

    Args:
        name: one lower-case word.
        limit: units that are paid off within a period.
        period: the period.
        burst: units that may be charged at once; `limit` by default.

    Raises:
        InvalidInput: a number is out of range, a unit takes less than 1 us, or a full
            burst more than a century.
    """

    name: str
    limit: int
    period: timedelta
    burst: int = 0
    interval: timedelta = field(init=False, repr=False, compare=False)
    """How long one unit takes to be paid off."""
    tolerance: timedelta = field(init=False, repr=False, compare=False)
    """How long a full burst takes to be paid off."""

    def __post_init__(self) -> None:
        inputs.slug(self.name, "policy")
        inputs.count(self.limit, "limit", low=1, high=MAX_BURST)
        inputs.span(self.period, "period")
        if self.burst == 0:
            object.__setattr__(self, "burst", self.limit)
        inputs.count(self.burst, "burst", low=1, high=MAX_BURST)
        interval = self.period // self.limit
        if interval < _TICK:
            raise InvalidInput("a unit of the policy takes less than a microsecond")
        if self.burst > inputs.MAX_SPAN // interval:
            raise InvalidInput("a full burst takes more than a century to be paid off")
        object.__setattr__(self, "interval", interval)
        object.__setattr__(self, "tolerance", interval * self.burst)

    def increment(self, cost: int) -> timedelta:
        """Return how long a charge takes to be paid off.

        Raises:
            InvalidInput: the cost is below 1 or above the burst, and could never be
                let through.
        """
        return self.interval * inputs.count(cost, "cost", low=1, high=self.burst)


class LimitKey(NamedTuple):
    """What is limited: whom (an id, an address, a keyed hash) and at what."""

    identifier: str
    resource: str

    def checked(self) -> LimitKey:
        """Return it if the table can hold it.

        Raises:
            InvalidInput: a part is empty, too long or not storable.
        """
        inputs.text(self.identifier, "identifier", limit=200)
        inputs.text(self.resource, "resource", limit=100)
        return self


@dataclass(frozen=True, slots=True)
class RateDecision:
    """The answer of a limiter; true where the charge was let through.

    `remaining` units may be charged at once now; `reset_after` is when a full burst
    may; `retry_after` is when this charge would be let through, zero if it was. Of
    callers who race, a denied one may be told a shorter wait than it will have.
    """

    allowed: bool
    remaining: int
    retry_after: timedelta
    reset_after: timedelta
    blocked_until: datetime | None = None

    def __bool__(self) -> bool:
        return self.allowed


def decision(charge: Charge, policy: RatePolicy, increment: timedelta) -> RateDecision:
    """Return what a charge means for its caller."""
    # Python subtracts two times of one zone by its wall clock.
    at, tolerance = charge.at.astimezone(UTC), policy.tolerance
    ahead = charge.arrival - at if charge.arrival > at else _NONE
    blocked = charge.blocked_until
    if blocked is not None and blocked > at:
        wait = max(ahead + increment - tolerance, blocked - at)
        return RateDecision(False, 0, wait, max(ahead, wait), blocked)
    remaining = (tolerance - ahead) // policy.interval if ahead < tolerance else 0
    if charge.allowed:
        return RateDecision(True, remaining, _NONE, ahead)
    wait = max(ahead + increment - tolerance, _NONE)
    # No wait is seen where others were charged meanwhile; but nobody who was denied
    # should come back at once.
    return RateDecision(False, remaining, wait or policy.interval, ahead)
