"""A reservation as it is asked for and as it is answered; pure."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import NamedTuple

from authkit.errors import InvalidInput, RetryLater
from authkit.hot import inputs
from authkit.hot.attempt_values import AttemptRecord
from authkit.hot.attempts import AttemptKey
from authkit.hot.reservations import Reservation
from authkit.hot.throttling import (
    CounterKey,
    Reserved,
    Throttle,
    Throttled,
    counters,
    forgiven,
)
from authkit.hot.written import Params

_NONE = timedelta(0)


class Asked(NamedTuple):
    """The counters of an attempt, and the parameters of `attempts.reserve`."""

    keys: tuple[CounterKey, ...]
    params: Params


def ask(attempt: AttemptRecord, *, known_device: bool, throttle: Throttle) -> Asked:
    """Check what is reserved.

    Raises:
        InvalidInput: a part of it is not acceptable.
    """
    subject = attempt.subject
    if subject is None or attempt.outcome != "pending":
        raise InvalidInput("what is reserved is pending, and has a subject")
    if attempt.occurred_at is not None:
        raise InvalidInput("what is reserved happens now, by the server's clock")
    if known_device and attempt.device is None:
        raise InvalidInput("a known device needs its fingerprint")
    checked = attempt.params()
    keys = counters(
        throttle,
        subject=subject,
        address=inputs.optional_address(attempt.ip),
        known_device=attempt.device if known_device else None,
    )
    params = (
        [key.identifier for key in keys],
        [key.allowance.attempts for key in keys],
        [key.allowance.window for key in keys],
        *checked[1:13],
        *checked[15:],
    )
    return Asked(keys, params)


def answer(found: Reservation, keys: tuple[CounterKey, ...]) -> Reserved | Throttled:
    """Tell what a reservation means for its caller.

    Raises:
        RetryLater: its counters were purged meanwhile; nothing was recorded.
    """
    if found.occurred_at is None or found.id is None:
        raise RetryLater("the counters of the attempt were purged meanwhile")
    key = AttemptKey(found.occurred_at, found.id)
    if found.denying is None:
        return Reserved(key, forgiven(keys))
    # In UTC: Python subtracts two times of one zone by its wall clock.
    at = found.at.astimezone(UTC)
    wait = _NONE if found.free_at is None else found.free_at - at
    return Throttled(key, keys[found.denying - 1].counter, wait)
