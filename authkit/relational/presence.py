"""Whether a user is there to be given something, and stays so until the commit.

An erased user is given nothing: what erasure removed must not come back by somebody who
had looked before it.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from authkit.errors import NotFound
from authkit.hot import inputs
from authkit.schema.relational import User


def hold(session: Session, user_id: UUID, *, alone: bool = False) -> None:
    """Make an erasure wait until this transaction ends, or wait for one and refuse.

    Args:
        session: of the transaction.
        user_id: whom.
        alone: whether others who would hold the same user alone wait as well.

    Raises:
        InvalidInput: the id is not a UUID.
        NotFound: there is no such user, or the user was erased; the transaction is
            still good.
    """
    found = (
        select(User.id)
        .where(
            User.id == inputs.identifier(user_id, "user id"), User.erased_at.is_(None)
        )
        .with_for_update(read=not alone, key_share=True)
    )
    if session.scalar(found) is None:
        raise NotFound("there is no such user")
