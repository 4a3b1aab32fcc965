"""Where one timeline was left for the next: whether an older token still holds. Pure.

A commit on an earlier timeline is part of the present one when it lies before the point
at which that timeline was left (PostgreSQL documentation, section 26.3.6). The server
keeps the points in history files. Where reading them is not permitted, what was seen
of the nodes bounds them, and between the bounds the answer is no.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import LiteralString

from authkit.cluster.consistency import Token, lsn_number
from authkit.cluster.views import Observation, Role

# pg_read_file needs the rights of pg_read_server_files; the probe's role may lack them.
# With two arguments it came with PostgreSQL 16 only.
HISTORY: LiteralString = (
    "SELECT pg_read_file('pg_wal/' || %s || '.history', 0, 1048576, true)"
)


@dataclass(frozen=True, slots=True)
class Timelines:
    """What is known of the points at which timelines were left.

    `left` maps a timeline to the position where it ended, for the history of the
    timeline `of`. `reached` maps a timeline to the furthest position that each node
    had replayed on it since it was started, at the moment in `started`: one that was
    rewound or cloned was started anew, and may lack what it had.
    """

    of: int = 0
    left: Mapping[int, int] = field(default_factory=dict[int, int])
    reached: Mapping[str, Mapping[int, int]] = field(
        default_factory=dict[str, Mapping[int, int]]
    )
    started: Mapping[str, str] = field(default_factory=dict[str, str])

    def saw(self, seen: Observation) -> Timelines:
        """Remember how far a replica had come on its timeline."""
        if seen.role is not Role.REPLICA or not seen.timeline:
            return self
        same = self.started.get(seen.node) == seen.started
        own: Mapping[int, int] = self.reached.get(seen.node, {}) if same else {}
        if own.get(seen.timeline, -1) >= seen.lsn:
            return self
        return replace(
            self,
            reached={**self.reached, seen.node: {**own, seen.timeline: seen.lsn}},
            started={**self.started, seen.node: seen.started},
        )

    def read(self, timeline: int, text: str | None) -> Timelines:
        """Take in the history file of a timeline; None where it cannot be read."""
        return replace(self, of=timeline, left=parse_history(text or ""))

    def holds(self, token: Token, *, timeline: int, primary: str) -> bool:
        """Whether a token's commit is part of this timeline, for certain.

        Args:
            token: of this timeline or an earlier one.
            timeline: the present one.
            primary: the node that began it.
        """
        if token.timeline == timeline:
            return True
        if self.of == timeline and token.timeline in self.left:
            return token.lsn <= self.left[token.timeline]
        # It had replayed this before it was promoted: the timeline was left after it.
        reached = self.reached.get(primary, {}).get(token.timeline)
        return reached is not None and token.lsn <= reached


def parse_history(text: str) -> dict[int, int]:
    """Read a history file: per line a timeline, where it was left, and why."""
    left: dict[int, int] = {}
    for fields in _fields(text.splitlines()):
        try:
            left[int(fields[0])] = lsn_number(fields[1])
        except ValueError:
            continue  # not a line that the server wrote
    return left


def _fields(lines: Iterable[str]) -> Iterable[list[str]]:
    for line in lines:
        fields = line.split("#", 1)[0].split()
        if len(fields) >= 2:
            yield fields
