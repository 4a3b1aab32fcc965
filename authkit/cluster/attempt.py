"""One attempt at a transaction: how it begins, and what follows from its failure. Pure.

Kept apart from the loop that runs attempts, which is written in both colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import LiteralString

import psycopg

from authkit.cluster.classify import Action, Fault, Intent
from authkit.cluster.consistency import Token
from authkit.cluster.keys import check_key
from authkit.cluster.retry import RetryPolicy
from authkit.errors import AuthkitError, DeadlineExceeded, InvalidInput


class Isolation(Enum):
    """Isolation levels (PostgreSQL documentation, section 13.2)."""

    READ_COMMITTED = "READ COMMITTED"
    REPEATABLE_READ = "REPEATABLE READ"
    SERIALIZABLE = "SERIALIZABLE"


# The server's clock for a statement ends a little after ours: what it then cancels was
# cancelled by the deadline, and nobody has to guess.
SERVER_GRACE_MS = 10
# The server's clock goes no further (24 days); the client's does.
_LONGEST_MS = 2**31 - 1

_BEGIN: dict[Isolation | None, LiteralString] = {
    None: "BEGIN",
    Isolation.READ_COMMITTED: "BEGIN ISOLATION LEVEL READ COMMITTED",
    Isolation.REPEATABLE_READ: "BEGIN ISOLATION LEVEL REPEATABLE READ",
    Isolation.SERIALIZABLE: "BEGIN ISOLATION LEVEL SERIALIZABLE",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked of `run`; `deadline` is on the monotonic clock."""

    intent: Intent = Intent.WRITE
    deadline: float = inf
    acquire_s: float = 5.0
    key: str | None = None
    isolation: Isolation | None = None
    max_lag_s: float = 0.0
    after: Token | None = None
    stale_ok: bool = False
    prefer: str | None = None
    token: bool = False

    def __post_init__(self) -> None:
        if self.key is not None:
            check_key(self.key)
            if self.intent is Intent.READ:
                raise InvalidInput("a read needs no write key")

    def patience(self, now: float) -> float:
        """Seconds that one wait for a connection may take.

        Raises:
            DeadlineExceeded: there are none left.
        """
        left = self.deadline - now
        if left <= 0:
            raise DeadlineExceeded("the deadline passed; nothing was applied")
        return min(left, self.acquire_s)

    def begin(self, now: float) -> str:
        """Return the statement that opens the transaction, in one round trip.

        The server ends a statement at the deadline by itself; what it cannot end (a
        commit that waits for a standby) the client's watcher cuts.
        """
        opening = _BEGIN[self.isolation]
        if self.intent is Intent.READ:
            opening += " READ ONLY"
        if self.deadline == inf:
            return opening
        left_ms = max(0, int(1000 * (self.deadline - now))) + SERVER_GRACE_MS
        if left_ms > _LONGEST_MS:
            return opening
        return f"{opening}; SET LOCAL statement_timeout = {left_ms}"


class Again(Exception):
    """An attempt failed and may be repeated; carries what to raise if it is not.

    `delay_s` is filled in when the repetition is decided; None ends it.
    """

    def __init__(self, error: AuthkitError, fault: Fault) -> None:
        self.error = error
        self.fault = fault
        self.delay_s: float | None = None
        super().__init__(str(error))


def next_delay(
    policy: RetryPolicy,
    action: Action,
    repetition: int,
    *,
    left_s: float,
    chance: Callable[[], float],
) -> float | None:
    """Return the delay of a repetition; None when policy or deadline forbid it."""
    if not policy.allows(action, repetition):
        return None
    delay = policy.delay(action, repetition, chance)
    return None if delay >= left_s else delay


def driver_error(
    error: BaseException, judged: psycopg.Error | None
) -> psycopg.Error | None:
    """Find the driver's error: itself, or what an error of ours was raised from.

    Args:
        error: what ended the attempt.
        judged: the last error of its connection. One of ours that was raised from
            another is about something else, and has been judged where it happened.
    """
    if isinstance(error, psycopg.Error):
        return error
    if isinstance(error, AuthkitError) and error.__cause__ is judged:
        return judged
    return None
