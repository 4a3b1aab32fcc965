"""Open-loop arrivals: a schedule made beforehand, pulled by whoever is free.

A closed loop waits for each answer before it asks again, so a stall hides itself. Here
arrivals are due at their own times; a worker that is free takes the next one, and one
that nobody was free for is *late*: the wait belongs to its response time. Workers that
share one iterator held 23,700 arrivals/s on 77 % of a core where spawning a greenlet
for each broke at 12,000/s.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Literal

from authkit.errors import InvalidInput

Arrivals = Literal["poisson", "uniform"]
LATE_S: Final = 0.001


def offsets(
    arrivals: Arrivals, rate: float, seconds: float, seed: int
) -> Iterator[float]:
    """Yield the seconds from the start at which arrivals are due, in order.

    Args:
        arrivals: `poisson` has exponential gaps, as independent users cause; `uniform`
            has equal ones.
        rate: arrivals per second, above zero.
        seconds: end of the schedule.
        seed: of the gaps, and of the first offset of a uniform schedule (the schedules
            of several workers then do not beat in step).

    Raises:
        InvalidInput: the rate or the seconds are not above zero.
    """
    if not (rate > 0 and seconds > 0):
        raise InvalidInput("an open loop needs a rate and seconds above zero")
    return _offsets(arrivals, rate, seconds, random.Random(seed))  # noqa: S311 # gaps between arrivals are no secret


def _offsets(
    arrivals: Arrivals, rate: float, seconds: float, source: random.Random
) -> Iterator[float]:
    gap = 1.0 / rate
    due = source.expovariate(rate) if arrivals == "poisson" else source.random() * gap
    while due < seconds:
        yield due
        due += source.expovariate(rate) if arrivals == "poisson" else gap


@dataclass(frozen=True, slots=True)
class Due:
    """An arrival somebody pulled: when it is due, on the clock of the schedule.

    `wait_s` is how long to sleep until then; it is 0.0 when the arrival was overdue as
    it was pulled, because nobody was free for it.
    """

    at_s: float
    wait_s: float
    overdue_s: float

    def lag_s(self, now_s: float) -> float:
        """Return how late a sleep until the arrival ended: the generator's own lag."""
        return 0.0 if self.wait_s == 0.0 else max(0.0, now_s - self.at_s)

    @property
    def late(self) -> bool:
        """True when it waited a millisecond or more for somebody to be free."""
        return self.overdue_s > LATE_S


class Schedule:
    """Hands the arrivals of one process to its workers; share one among all of them.

    An arrival that is more than `patience_s` overdue is given up and counted in
    `skipped`: without that bound a run would go on for as long as it fell behind.

    Args:
        offsets_s: seconds from the start at which arrivals are due, in order.
        start_s: the start, on the clock that `pull` is given.
        patience_s: how long an arrival may wait for somebody to be free.
    """

    def __init__(
        self, offsets_s: Iterator[float], start_s: float, patience_s: float = 10.0
    ) -> None:
        self._offsets = offsets_s
        self._start = start_s
        self._patience_s = patience_s
        self.skipped = 0
        self._over = False

    def end(self, now_s: float) -> int:
        """Hand out nothing more; return how many were due and waited for somebody.

        Without them a run that fell behind would be silent about its worst calls.
        """
        if self._over:
            return 0
        self._over = True
        due = takewhile(lambda offset: self._start + offset <= now_s, self._offsets)
        return sum(1 for _ in due)

    def pull(self, now_s: float) -> Due | None:
        """Take the next arrival; None after the last one."""
        if self._over:
            return None
        for offset in self._offsets:
            at = self._start + offset
            overdue = now_s - at
            if overdue <= self._patience_s:
                return Due(at, max(0.0, -overdue), max(0.0, overdue))
            self.skipped += 1
        return None
