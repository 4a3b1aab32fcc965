"""What a detector on a frame finds: a key, the attempts, whether somebody came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    "detector",
    "technique",
    "severity",
    "first",
    "last",
    "about",
    "user",
    "address",
    "attempts",
    "people",
    "addresses",
    "evidence",
)
# What a finding tells of its attempts; the other columns need not be taken for each.
TOLD = ["id", "occurred_at", "user", "subject", "address"]


@dataclass(frozen=True, slots=True)
class Found:
    """One finding; `first` where it began before its first attempt.

    `rows` are its attempts, with the columns of `TOLD` at least.
    """

    about: str
    rows: DataFrame
    critical: bool
    first: pd.Timestamp | None = None

    def row(self, detector: str, technique: str) -> dict[str, Any]:
        """Return it as a row of `COLUMNS`."""
        users = self.rows["user"].dropna().unique()
        addresses = self.rows["address"].dropna().unique()
        return {
            "detector": detector,
            "technique": technique,
            "severity": "high" if self.critical else "medium",
            "first": self.rows["occurred_at"].min()
            if self.first is None
            else self.first,
            "last": self.rows["occurred_at"].max(),
            "about": self.about,
            "user": users[0] if len(users) == 1 else None,
            "address": addresses[0] if len(addresses) == 1 else None,
            "attempts": len(self.rows),
            "people": self.rows["subject"].nunique(),
            "addresses": len(addresses),
            "evidence": sorted(self.rows["id"]),
        }


def framed(found: list[dict[str, Any]], attempts: DataFrame) -> DataFrame:
    """Return findings as a frame in order of time, typed where there are none too."""
    made = pd.DataFrame(found, columns=pd.Index(COLUMNS))
    time = attempts["occurred_at"].dtype
    numbers = ("attempts", "people", "addresses")
    texts = ("detector", "technique", "severity", "about", "user", "address")
    made = made.astype(
        {"first": time, "last": time}
        | dict.fromkeys(numbers, "int64")
        | dict.fromkeys(texts, attempts["outcome"].dtype)
    )
    return made.sort_values(["first", "detector", "about"], ignore_index=True)
