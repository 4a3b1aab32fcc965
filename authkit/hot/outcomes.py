"""What operations answer: values, also where the answer is no.

An outcome with a security effect is never an exception: raising would roll back the
revocation or the count that it reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Literal
from uuid import UUID

from authkit.cluster import Token
from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.hot.sessions import Session

MAX_CAP = 1000


@dataclass(frozen=True, slots=True)
class Cap:
    """How many live sessions a user may have, and what happens to one too many.

    Raises:
        InvalidInput: the limit is not between 1 and 1,000.
    """

    limit: int
    full: Literal["evict", "refuse"] = "evict"

    def __post_init__(self) -> None:
        inputs.count(self.limit, "cap", low=1, high=MAX_CAP)
        if self.full not in {"evict", "refuse"}:
            raise InvalidInput("a full cap may evict or refuse")


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was begun. `token` is shown here and never again.

    `evicted` are those that a cap ended for it; a later read that asks for `after` sees
    that. It is None without a cap that evicts, and inside a unit of work, whose commit
    gives one.
    """

    id: UUID
    token: str = field(repr=False)
    expires_at: datetime
    evicted: tuple[UUID, ...] = ()
    after: Token | None = None


class CreationRefused(Enum):
    """Why a session was not begun."""

    USER_UNAVAILABLE = "there is no such user, or the user is disabled"
    CAP_REACHED = "the user has as many sessions as are allowed"


@dataclass(frozen=True, slots=True)
class RotatedSession:
    """A session under its new token, which is shown here and never again."""

    session: Session
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revocation:
    """Which sessions this call ended; a later read that asks for `token` sees it.

    `token` is None inside a unit of work: its commit gives one.
    """

    ended: tuple[UUID, ...]
    token: Token | None

    def __bool__(self) -> bool:
        return bool(self.ended)
