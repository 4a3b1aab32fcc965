"""Which rows an older key sealed: what a rotation has to seal anew."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from authkit.crypto import KeyRing
from authkit.hot import inputs

Sealed = TypeVar("Sealed")


def sealed_by_older(
    record: type[Sealed],
    key: InstrumentedAttribute[UUID],
    sealed_by: InstrumentedAttribute[str | None],
    ring: KeyRing,
    limit: int,
) -> Select[Sealed]:
    """Return the statement that locks some; rows that others hold are left out.

    Raises:
        InvalidInput: the limit is not between 1 and 10,000.
    """
    # Two ranges and no `<>`: so that the index over the key's id serves it. What was
    # loaded before the lock is loaded again: somebody may have changed it since.
    return (
        select(record)
        .where(or_(sealed_by < ring.active_id, sealed_by > ring.active_id))
        .order_by(key)
        .limit(inputs.count(limit, "limit", low=1, high=10_000))
        .with_for_update(skip_locked=True, key_share=True)
        .execution_options(populate_existing=True)
    )
