"""Identifiers made by the client: UUID version 7 (RFC 9562 section 5.7)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7

_REST_BITS = 80  # below the 48 of Unix milliseconds


def uuid7(at: datetime | None = None) -> UUID:
    """Return a new time-ordered UUID: b-tree inserts stay on the right-most page.

    It carries the time of now, or another one; what is before 1970 carries that year.
    """
    if at is None:
        return _uuid7()
    made = max(0, int(at.timestamp() * 1_000)) << _REST_BITS
    return UUID(int=made | _uuid7().int & (1 << _REST_BITS) - 1)
