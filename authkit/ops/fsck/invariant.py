"""An invariant as a value: one query that returns what breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that must always hold.

    `sql` returns one text column, an id of each row that breaks it, nothing personal.
    It may use `%(session_cap)s` and `%(pruned)s`. `sentence` is what holds, in words.
    """

    name: str
    sentence: str
    sql: LiteralString
    advice: str
