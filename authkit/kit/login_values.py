"""What a login is begun with, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from authkit.hot import AttemptKey, CachedLogin, Cap, NewSession, Reserved, Throttled
from authkit.hot.attempt_values import AttemptRecord
from authkit.risk import Features, Score


@dataclass(frozen=True, slots=True)
class Begun:
    """The attempt may go on: verify the password, then succeed or fail with this.

    `user` is None where nobody has the name: verify a password all the same, against
    a hash of none, so that the answer takes as long. `score` is what the login was
    worth before anybody looked at the password; *unscored* and None are no low risk.
    """

    reserved: Reserved
    user: CachedLogin | None
    score: Score | None
    attempt: AttemptRecord = field(repr=False)
    features: Features = field(repr=False)

    @property
    def key(self) -> AttemptKey:
        """Where the attempt stands."""
        return self.reserved.key

    @property
    def locked(self) -> bool:
        """Whether the user may not come in, whatever the password."""
        user = self.user
        return user is not None and (user.locked or user.disabled_at is not None)


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """How long the session lives, and how many of them a user may have."""

    lifetime: timedelta = timedelta(hours=24)
    idle_timeout: timedelta = timedelta(hours=1)
    assurance_level: int = 1
    methods: tuple[str, ...] = ("pwd",)
    cap: Cap | None = None


class LoginRefused(Enum):
    """Why a login that the application let through opened no session."""

    SETTLED = "settled"
    USER_UNAVAILABLE = "user_unavailable"
    CAP_REACHED = "cap_reached"

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The login is settled; `session` is None where a further factor is asked for."""

    key: AttemptKey
    session: NewSession | None


__all__ = ["Begun", "LoggedIn", "LoginRefused", "SessionTerms", "Throttled"]
