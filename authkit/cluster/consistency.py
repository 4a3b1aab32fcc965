"""Read your writes: a token says which commit a later read must contain.

A token is a position in the write-ahead log. Positions compare within one timeline
only; across a promotion a token still holds when it lies before the point at which
the new timeline began (PostgreSQL documentation, section 26.3.6, "Timelines").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from authkit.errors import InvalidInput

_TEXT = re.compile(r"(?P<timeline>[0-9A-F]{1,8})\.(?P<lsn>[0-9A-F]{1,16})\Z")


@dataclass(frozen=True, slots=True, order=False)
class Token:
    """A commit's place: its timeline and the log position just after it.

    `str(token)` fits a cookie or a header; `Token.parse` reads it back.
    """

    timeline: int
    lsn: int

    def __str__(self) -> str:
        return f"{self.timeline:X}.{self.lsn:X}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token that came from outside.

        Raises:
            InvalidInput: the text is not a token.
        """
        match = _TEXT.match(text)
        if match is None:
            raise InvalidInput("this is not a consistency token")
        timeline = int(match["timeline"], 16)
        if timeline == 0:
            raise InvalidInput("this is not a consistency token")
        return cls(timeline, int(match["lsn"], 16))

    def latest(self, other: Token | None) -> Token:
        """Return the later of two: the one that contains both commits."""
        if other is None or (self.timeline, self.lsn) >= (other.timeline, other.lsn):
            return self
        return other


@dataclass(frozen=True, slots=True)
class Found:
    """How far a node had replayed when it was asked, on the client's clock in s."""

    timeline: int
    lsn: int
    at: float


def lsn_number(text: str) -> int:
    """Read a log position as PostgreSQL prints it (`16/B374D848`).

    Raises:
        ValueError: the text is not a log position.
    """
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)


def lsn_text(lsn: int) -> str:
    """Write a log position as PostgreSQL prints it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
