"""Whether the time of an answer tells a wrong token from an expired one.

Both take the same statement and get the same answer; of the expired one the server
fetches the row that it then leaves out. Welch's t over interleaved calls, the slowest
twentieth left out: from about 4.5 on, a difference would be taken as shown (Reparaz,
Balasch, Verbauwhede: "Dude, is my code constant time?", 2017). It is told and has no
goal: whoever could ask for an expired token has had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from math import sqrt
from statistics import fmean, variance
from time import perf_counter_ns
from typing import Any, Final
from uuid import UUID

import psycopg

import authkit
from authkit.errors import LabError
from authkit.hot import NewSession

CALLS: Final = 6000
EXPIRED: Final = 200

_EXPIRE: Final = """
    UPDATE authkit.active_sessions
    SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'
    WHERE id = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """A wrong token's time against an expired one's: Welch's t, and the means apart."""

    t: float
    difference_us: float


def welch(first: Sequence[int], second: Sequence[int]) -> Timing:
    """Compare two samples of nanoseconds, the slowest twentieth of each left out."""
    kept = [sorted(times)[: len(times) * 19 // 20] for times in (first, second)]
    difference = fmean(kept[0]) - fmean(kept[1])
    spread = sqrt(sum(variance(times) / len(times) for times in kept))
    return Timing(difference / spread if spread else 0.0, difference / 1000)


def compare(
    kit: authkit.Kit,
    owner: psycopg.Connection[Any],
    users: Sequence[UUID],
    *,
    calls: int = CALLS,
) -> Timing:
    """Measure both kinds of token, in turns.

    Args:
        kit: validates.
        owner: in autocommit, of whoever may write the past into the table.
        users: not disabled; their sessions are made, and expire, here.
        calls: of each kind.

    Raises:
        LabError: a session could not be made, or a token was answered with one.
    """
    made: list[NewSession] = []
    for user, _ in zip(cycle(users), range(EXPIRED), strict=False):
        session = kit.sessions.create(user, lifetime=timedelta(hours=1))
        if not isinstance(session, NewSession):
            raise LabError(f"no session could be made: {session.value}")
        made.append(session)
    owner.execute(_EXPIRE, ([session.id for session in made],))
    # As long as a good one, and of the same letters.
    expired = [session.token for session in made]
    arms = (cycle([token[::-1] for token in expired]), cycle(expired))
    times: tuple[list[int], list[int]] = ([], [])
    for number in range(2 * calls):
        # In turns, and each first every other time.
        arm = (number + number // 2) % 2
        token = next(arms[arm])
        began = perf_counter_ns()
        answer = kit.sessions.validate(token)
        times[arm].append(perf_counter_ns() - began)
        if answer is not None:
            raise LabError("a wrong or expired token was answered with a session")
    return welch(*times)
