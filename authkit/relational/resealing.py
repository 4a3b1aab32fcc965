"""Which rows an older key sealed: what a rotation has to seal anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from authkit.crypto import KeyRing
from authkit.hot import inputs

Sealed = TypeVar("Sealed")


def sealed_by_older(
    session: Session,
    record: type[Sealed],
    key: InstrumentedAttribute[UUID],
    sealed_by: InstrumentedAttribute[str | None],
    ring: KeyRing,
    limit: int,
) -> Sequence[Sealed]:
    """Lock and return some; none only where there are none.

    Rows that others hold are left out while there are free ones. Then the first of them
    is waited for, with no other locked meanwhile: a user's row is what logins wait for.

    Raises:
        InvalidInput: the limit is not between 1 and 10,000.
    """
    # Two ranges and no `<>`: so that the index over the key's id serves it.
    older = (
        select(record)
        .where(or_(sealed_by < ring.active_id, sealed_by > ring.active_id))
        .order_by(key)
        .limit(inputs.count(limit, "limit", low=1, high=10_000))
        .with_for_update(skip_locked=True, key_share=True)
        # As they are now that they are locked, not as they were when they were read.
        .execution_options(populate_existing=True)
    )
    found = session.scalars(older).all()
    if found:
        return found
    return session.scalars(older.limit(1).with_for_update(key_share=True)).all()
