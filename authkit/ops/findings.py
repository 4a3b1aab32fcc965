"""What a check found, in words: a level, where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad a finding is; only a fault fails the check."""

    GOOD = "good"
    NOTE = "note"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing; `advice` says what to do, where there is a choice.

    `name` is stable and short, for programs; `what` is for people and may change.
    """

    level: Level
    where: str
    name: str
    what: str
    advice: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Return the JSON form."""
        return {
            "level": self.level.value,
            "where": self.where,
            "name": self.name,
            "what": self.what,
            "advice": self.advice,
        }


def good(where: str, name: str, what: str) -> Finding:
    """Return a finding that all is as it should be."""
    return Finding(Level.GOOD, where, name, what)


def note(where: str, name: str, what: str, advice: str | None = None) -> Finding:
    """Return a finding that somebody should know of."""
    return Finding(Level.NOTE, where, name, what, advice)


def fault(where: str, name: str, what: str, advice: str) -> Finding:
    """Return a finding that must be mended, with how."""
    return Finding(Level.FAULT, where, name, what, advice)


def faults(findings: Iterable[Finding]) -> int:
    """Count those that must be mended."""
    return sum(f.level is Level.FAULT for f in findings)
