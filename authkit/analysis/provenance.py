"""Where the rows of a frame come from, and whether the last of them are missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from authkit.analysis.window import Window

if TYPE_CHECKING:
    from pandas import DataFrame

# A replica is nearly always some milliseconds behind; that is worth no remark.
_LATE_S = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the rows come from, and by how much they may be behind, at most.

    A lag of None is unknown, which is not none.
    """

    node: Literal["primary", "replica"]
    lag_s: float | None

    @property
    def words(self) -> str:
        """Say it for people."""
        if self.node == "primary":
            return "primary"
        if self.lag_s is None:
            return "replica, its lag unknown: it has no word from a primary"
        return f"replica, at most {self.lag_s:.1f} s behind"

    def told(self, *, behind: bool) -> str:
        """Say it of a frame, which may lack its last moments or not."""
        late = "; its last moments may be missing: the primary has them all"
        return f"{self.words}{late if behind else ''}"

    def misses(self, until: datetime | None, now: datetime) -> bool:
        """Say whether a window to `until`, or to now, may end after what is here."""
        if self.lag_s is None:
            return True
        if self.lag_s < _LATE_S:
            return False
        return until is None or until > now - timedelta(seconds=self.lag_s)


def stated(
    frame: DataFrame,
    name: str,
    standing: Standing,
    within: Window | None,
    *,
    masked: bool,
    now: datetime,
) -> str:
    """Write into a frame's `attrs` where its rows are from; return it as a sentence.

    Args:
        frame: it is changed.
        name: what it is of.
        standing: the node that its rows come from.
        within: what it covers; None is a query of somebody's own.
        masked: whether people and addresses are tokens.
        now: when it was asked for.
    """
    behind = standing.misses(within and within.until, now)
    frame.attrs.update(
        behind=behind,
        source=name,
        masked=masked,
        node=standing.node,
        lag_s=standing.lag_s,
        since=None if within is None or not within.since else str(within.since),
        until=None if within is None or not within.until else str(within.until),
    )
    covered = "" if within is None else f", {within}"
    return f"{name}: {len(frame):,} rows{covered} ({standing.told(behind=behind)})"
