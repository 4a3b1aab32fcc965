"""Sliding windows over a frame: the same windows that the detectors in SQL slide.

A window ends at every attempt and reaches `span` back, both ends included. Windows that
fulfil the condition and touch are one finding, with the attempts of all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_RARE = 2
_FEW = 8


@dataclass(slots=True)
class Inside:
    """What a window holds: how often each kind, and what its two halves tell apart.

    A half that is not known is the empty text, and tells nothing apart.
    """

    attempts: int = 0
    few: int = 0
    rare: int = 0
    each: Counter[Any] = field(default_factory=Counter[Any])
    ones: Counter[Any] = field(default_factory=Counter[Any])
    twos: Counter[Any] = field(default_factory=Counter[Any])

    @property
    def kinds(self) -> int:
        """How many different kinds are inside."""
        return len(self.each)

    def take(self, kind: Any, one: Any, two: Any) -> None:
        """An attempt comes in."""
        self._change(kind, 1)
        if one:
            self.ones[one] += 1
            self.twos[two] += 1

    def drop(self, kind: Any, one: Any, two: Any) -> None:
        """An attempt goes out."""
        self._change(kind, -1)
        if not one:
            return
        for counter, value in ((self.ones, one), (self.twos, two)):
            counter[value] -= 1
            if not counter[value]:
                del counter[value]

    def _change(self, kind: Any, by: int) -> None:
        before = self.each[kind]
        after = before + by
        self.attempts += by
        self.few += (_RARE <= after <= _FEW) - (_RARE <= before <= _FEW)
        self.rare += (0 < after <= _RARE) - (0 < before <= _RARE)
        if after:
            self.each[kind] = after
        else:
            del self.each[kind]


def microseconds(times: Series[Any]) -> Any:
    """Return times as whole microseconds since 1970."""
    return times.to_numpy(dtype="datetime64[us]").astype("int64")


def islands(
    times: Any,
    kinds: Any,
    halves: tuple[Any, Any],
    span: timedelta,
    fulfils: Callable[[Inside], bool],
) -> Iterator[tuple[int, int]]:
    """Yield first and last position of each finding among one key's attempts, by time.

    Attempts of the same moment come in together, as peers of a RANGE frame do.
    """
    reach = int(span.total_seconds() * 1e6)
    ones, twos = halves
    inside = Inside()
    found: tuple[int, int] | None = None
    hit = first = at = 0
    while at < len(times):
        moment = times[at]
        while at < len(times) and times[at] == moment:
            inside.take(kinds[at], ones[at], twos[at])
            at += 1
        while moment - times[first] > reach:
            inside.drop(kinds[first], ones[first], twos[first])
            first += 1
        if not fulfils(inside):
            continue
        if found is not None and moment - hit <= reach:
            found = (found[0], at - 1)
        else:
            if found is not None:
                yield found
            found = (first, at - 1)
        hit = moment
    if found is not None:
        yield found


def around(rows: DataFrame, by: str, value: str, span: timedelta) -> Any:
    """Return, for each row, how many different values its key has within a span.

    Rows come in order of time.
    """
    counts = np.zeros(len(rows), dtype="int64")
    reach = int(span.total_seconds() * 1e6)
    every = microseconds(rows["occurred_at"])
    told = rows[value].to_numpy(dtype=object)
    there = rows[value].notna().to_numpy()
    for positions in rows.groupby(by, sort=False).indices.values():
        times, values, known = (column[positions] for column in (every, told, there))
        inside: Counter[Any] = Counter()
        first = last = 0
        for at, moment in enumerate(times):
            while last < len(times) and times[last] - moment <= reach:
                if known[last]:
                    inside[values[last]] += 1
                last += 1
            while moment - times[first] > reach:
                if known[first]:
                    inside[values[first]] -= 1
                    if not inside[values[first]]:
                        del inside[values[first]]
                first += 1
            counts[positions[at]] = len(inside)
    return counts
