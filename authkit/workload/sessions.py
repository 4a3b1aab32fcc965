"""What became of each session that a completed login opened."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from random import Random
from typing import Literal

from authkit.workload.attempt import Attempt

_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US
_DAY_US = 24 * _HOUR_US

EndReason = Literal["logout", "idle", "expired", "compromised"]


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session over its life, as far as the world's clock got; times since 1970."""

    id: bytes
    user_id: bytes
    attempt: Attempt
    phone: bool
    second_factor: bool
    last_activity_us: int
    idle_timeout_us: int
    expires_us: int
    ended_us: int | None
    reason: EndReason | None

    @property
    def revoked(self) -> bool:
        """Whether somebody ended it; a session that lapsed was ended by nobody."""
        return self.reason in {"logout", "compromised"}


def follow(rng: Random, attempt: Attempt, end_us: int) -> SessionRecord | None:
    """Return the session that an attempt opened, None where it opened none.

    Telephones stay signed in for two weeks of idleness and 60 days at most, desktops
    for twelve hours and a week. Half of the stolen sessions are found and ended.
    """
    if attempt.session_id is None or not attempt.completes or attempt.user_id is None:
        return None
    agent = attempt.source.user_agent
    phone = "Mobile" in agent
    idle = 14 * _DAY_US if phone else 12 * _HOUR_US
    expires = attempt.at_us + (60 if phone else 7) * _DAY_US
    active = -log(1.0 - rng.random()) * (6 * _DAY_US if phone else 2 * _HOUR_US)
    left = rng.random()
    last = min(attempt.at_us + int(active), expires - _MINUTE_US)
    ended: int | None
    reason: EndReason | None
    if attempt.campaign is not None and left < 0.5:
        ended, reason = last + 30 * _MINUTE_US, "compromised"
    elif left < 0.35:
        ended, reason = last + _MINUTE_US // 2, "logout"
    elif last + idle >= expires:
        ended, reason = expires, "expired"
    else:
        ended, reason = last + idle, "idle"
    if ended > end_us:
        ended, reason = None, None
    return SessionRecord(
        id=attempt.session_id,
        user_id=attempt.user_id,
        attempt=attempt,
        phone=phone,
        second_factor=attempt.stage == "second_factor",
        last_activity_us=min(last, end_us),
        idle_timeout_us=idle,
        expires_us=expires,
        ended_us=ended,
        reason=reason,
    )
