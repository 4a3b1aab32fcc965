"""Whether what a folder keeps lies on the way that a server has come. Pure.

A recovery ends on a new timeline, which leaves the old one where it ended. What was
kept of the old one from after that point is of no use to the cluster any more, and its
positions look newer than what the cluster writes now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authkit.ops.backup.wal import Segment, position

if TYPE_CHECKING:
    from authkit.ops.backup.folder import Backup

# Of history files: it takes whatever bytes they hold.
ENCODING = "latin-1"
_LINE = re.compile(r"^\s*(\d+)\s+([0-9A-F]+/[0-9A-F]+).*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class History:
    """The timeline of a server, and its history file: of the first there is none."""

    timeline: int
    text: str = ""

    def ends(self) -> dict[int, int]:
        """Return where it left each timeline before its own, as bytes of the log."""
        return {int(m[1]): position(m[2]) for m in _LINE.finditer(self.text)}

    def follows(self, earlier: History) -> bool:
        """Tell whether an earlier history is the beginning of this one.

        Two restores give their timelines the same number, where neither sees the other.
        """
        then, now = (
            [m[0].strip() for m in _LINE.finditer(each.text)]
            for each in (earlier, self)
        )
        return now[: len(then)] == then


def astray(
    history: History,
    backups: Iterable[Backup],
    log: Iterable[Segment],
    size: int,
    kept: Iterable[History],
) -> str | None:
    """Return the name of what is kept and that a server's history does not hold.

    A failover leaves the old timeline in the segment that was being received, which is
    begun again from its beginning: nothing is astray then.

    Args:
        history: the server's.
        backups: those that are kept.
        log: the segments that are kept.
        size: bytes of a segment.
        kept: the histories that came with them.
    """
    left = history.ends()

    def beyond(timeline: int, end: int) -> bool:
        return timeline != history.timeline and end > left.get(timeline, -1)

    for backup in backups:
        if beyond(backup.timeline, backup.end):
            return f"the backup {backup.id}"
    for segment in log:
        until = segment.number if segment.partial else segment.number + 1
        if beyond(segment.timeline, until * size):
            return f"the segment {segment.name}"
    for each in kept:
        if not history.follows(each):
            return f"the history of timeline {each.timeline}"
    return None
