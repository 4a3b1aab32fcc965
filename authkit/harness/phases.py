"""Phases of a run: before a fault, during it, after it; and what happened when.

A `Mark` is something that happened to a node at a moment of wall-clock time. Of several
faults each has a `during` and an `after` of its own, up to the next one. Phases
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
    "dropping",
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
# A way back that does not end the effect of a fault: it has been answered before.
_AFTERMATH: Final = frozenset({"rejoining", "rejoined", "streaming"})


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened: `at_s` in seconds after the Unix epoch.

    `fault` is the number of the fault it belongs to, in the order they were asked for.
    """

    at_s: float
    what: What
    node: str = ""
    fault: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return a form for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of slots, `first` included and `end` not.

    `of` names the fault where there were several.
    """

    name: str
    first: int
    end: int
    of: str = ""

    @property
    def title(self) -> str:
        """Its name with that of its fault, as in `during-kill-primary`."""
        return f"{self.name}-{self.of}" if self.of else self.name

    def holds(self, slot: int) -> bool:
        """Tell whether a slot belongs to the phase."""
        return self.first <= slot < self.end

    @property
    def wanted(self) -> Callable[[int], bool]:
        """The filter that `Recording.select` takes."""
        return self.holds


@dataclass(frozen=True, slots=True)
class Struck:
    """When a fault began and when its effect ended, in wall-clock seconds.

    An end of None means that it never did. `of` names the fault among several.
    """

    began_s: float
    ended_s: float | None
    of: str = ""


def phases(
    span: tuple[float, float],
    slot_s: float,
    fault: tuple[float, float | None] | None = None,
) -> tuple[Phase, ...]:
    """Cut a run with at most one fault into phases.

    Args:
        span: start and end of the run in wall-clock seconds.
        slot_s: length of a slot.
        fault: when it began and when its effect ended; an end of None means that it
            never did. Without a fault there is one phase, `all`.
    """
    return cut(span, slot_s, () if fault is None else (Struck(*fault),))


def cut(
    span: tuple[float, float], slot_s: float, faults: Sequence[Struck]
) -> tuple[Phase, ...]:
    """Cut a run into phases: `before`, then `during` and `after` of each fault.

    Faults that overlap, or that follow one another within a slot, share theirs.
    """
    first, end = math.floor(span[0] / slot_s), math.ceil(span[1] / slot_s)
    stretches: list[Phase] = []
    for fault in sorted(faults, key=lambda fault: fault.began_s):
        began = min(max(math.floor(fault.began_s / slot_s), first), end)
        ended = end if fault.ended_s is None else math.floor(fault.ended_s / slot_s) + 2
        ended = max(began, min(ended, end))
        stretch = Phase(DURING, began, ended, fault.of)
        if stretches and began <= stretches[-1].end:
            stretch = _joined(stretches.pop(), stretch)
        stretches.append(stretch)
    if not stretches:
        return (Phase(ALL, first, end),)
    found = [Phase(BEFORE, first, stretches[0].first)]
    nexts = [*(later.first for later in stretches[1:]), end]
    for stretch, following in zip(stretches, nexts, strict=True):
        found += [stretch, Phase(AFTER, stretch.end, following, stretch.of)]
    return tuple(found)


def _joined(one: Phase, other: Phase) -> Phase:
    of = "+".join(filter(None, (one.of, other.of)))
    return Phase(one.name, one.first, max(one.end, other.end), of)


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
