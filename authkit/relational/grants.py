"""A grant, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID


class Change(Enum):
    """What a grant did."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Grant:
    """That a user holds a role; `change` says what this call did about it."""

    user_id: UUID
    role: str
    expires_at: datetime | None
    change: Change
