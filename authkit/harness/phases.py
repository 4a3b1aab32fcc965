"""Phases of a run: before a fault, during it, after it; and what happened when.

A `Mark` is something that happened to a node at a moment of wall-clock time. Phases
are cut at the edges of the recorder's slots, in favour of `during`: a slot in which
the fault began or ended belongs to it, and so does the slot after the end, because the
calls that were waiting end in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

What = Literal[
    "started",
    "killed",
    "promoted",
    "writing",
    "rejoining",
    "rejoined",
    "streaming",
    "stopped",
    "restarted",
    "frozen",
    "thawed",
    "paused",
    "resumed",
    "delayed",
    "lifted",
    "locked",
    "unlocked",
    "dropped",
]
ALL: Final = "all"
BEFORE: Final = "before"
DURING: Final = "during"
AFTER: Final = "after"
# What a mark makes of its node; "back" is the role it had before it was down.
_AFTER: Final = {
    "killed": "down",
    "stopped": "down",
    "frozen": "down",
    "promoted": "primary",
    "rejoined": "replica",
    "restarted": "back",
    "thawed": "back",
}
# What befalls replicas; every other mark is of a primary, or of what was one.
OF_REPLICAS: Final = frozenset({"paused", "resumed", "delayed", "lifted"})
# A way back that does not end the effect of a fault: it has been answered before.
_AFTERMATH: Final = frozenset({"rejoining", "rejoined", "streaming"})


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened: `at_s` in seconds after the Unix epoch."""

    at_s: float
    what: What
    node: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return a form for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of slots, `first` included and `end` not."""

    name: str
    first: int
    end: int

    def holds(self, slot: int) -> bool:
        """Tell whether a slot belongs to the phase."""
        return self.first <= slot < self.end

    @property
    def wanted(self) -> Callable[[int], bool]:
        """The filter that `Recording.select` takes."""
        return self.holds


def phases(
    span: tuple[float, float],
    slot_s: float,
    fault: tuple[float, float | None] | None = None,
) -> tuple[Phase, ...]:
    """Cut a run into phases.

    Args:
        span: start and end of the run in wall-clock seconds.
        slot_s: length of a slot.
        fault: when it began and when its effect ended; an end of None means that it
            never did. Without a fault there is one phase, `all`.
    """
    first, end = math.floor(span[0] / slot_s), math.ceil(span[1] / slot_s)
    if fault is None:
        return (Phase(ALL, first, end),)
    began = min(max(math.floor(fault[0] / slot_s), first), end)
    ended = end if fault[1] is None else math.floor(fault[1] / slot_s) + 2
    ended = max(began, min(ended, end))
    return (
        Phase(BEFORE, first, began),
        Phase(DURING, began, ended),
        Phase(AFTER, ended, end),
    )


def effect(marks: Sequence[Mark]) -> tuple[float, float] | None:
    """Return when faults began and when the last of them was lifted or answered.

    The rejoin of a node that a promotion has replaced is not waited for. None when
    nothing happened.
    """
    moments = [mark.at_s for mark in marks if mark.what not in _AFTERMATH]
    return (min(moments), max(moments)) if moments else None


def roles(
    marks: Sequence[Mark], start: dict[str, str], until_s: float
) -> list[tuple[str, str, float, float]]:
    """Return which role each node had when: (node, role, from, to) in wall-clock time.

    Args:
        marks: what happened, in any order.
        start: role of each node at the first mark (`primary` or `replica`).
        until_s: end of the timeline.
    """
    ordered = sorted(marks, key=lambda mark: mark.at_s)
    if not ordered:
        return []
    since = {node: (role, ordered[0].at_s) for node, role in start.items()}
    had: dict[str, str] = {}
    spans: list[tuple[str, str, float, float]] = []
    for mark in ordered:
        role = _AFTER.get(mark.what)
        if role is None or mark.node not in since:
            continue
        before, began = since[mark.node]
        if role == "back":
            role = had.get(mark.node, before)
        elif role == "down":
            had[mark.node] = before
        spans.append((mark.node, before, began, mark.at_s))
        since[mark.node] = (role, mark.at_s)
    spans.extend((node, role, began, until_s) for node, (role, began) in since.items())
    return sorted((s for s in spans if s[3] > s[2]), key=lambda s: (s[0], s[2]))
