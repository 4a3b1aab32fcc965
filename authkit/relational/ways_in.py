"""The ways by which a user can get in, of which the last is never taken away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authkit.errors import NotFound
from authkit.schema.relational import Account, User, WebauthnCredential


class Removal(Enum):
    """What became of taking a way in away."""

    REMOVED = "removed"
    NOT_THERE = "there is none such"
    LAST_WAY_IN = "it is the last way in, and stays"


@dataclass(frozen=True, slots=True)
class WaysIn:
    """How many ways in there are of each kind."""

    password: bool
    accounts: int
    credentials: int

    @property
    def count(self) -> int:
        """All of them together."""
        return int(self.password) + self.accounts + self.credentials


def lock_and_count(session: Session, user_id: UUID) -> WaysIn:
    """Lock the user until the end of the transaction, then count.

    Without the lock two callers could each take one of the last two ways away.

    Raises:
        NotFound: there is no such user.
    """
    locked = session.execute(
        select(User.password_hash)
        .where(User.id == user_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    if locked is None:
        raise NotFound("there is no such user")
    # A statement of its own: it sees what others took away while this one waited.
    accounts = (
        select(func.count()).select_from(Account).where(Account.user_id == user_id)
    )
    credentials = (
        select(func.count())
        .select_from(WebauthnCredential)
        .where(
            WebauthnCredential.user_id == user_id,
            WebauthnCredential.retired_at.is_(None),
        )
    )
    found = session.execute(
        select(accounts.scalar_subquery(), credentials.scalar_subquery())
    ).one()
    return WaysIn(locked.password_hash is not None, found[0], found[1])
