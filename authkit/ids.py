"""Identifiers made by the client: UUID version 7 (RFC 9562 section 5.7)."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> UUID:
    """Return a new time-ordered UUID: b-tree inserts stay on the right-most page."""
    return _uuid7()
