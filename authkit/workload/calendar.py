"""Who logs in on which day: exact counts per person, memory for one date each.

The remaining logins of a person are spread over the remaining time, weekends weighing
what they weigh for that person: of k uniform points the first is at 1 - (1 - u) **
(1 / k) of the way, so that only the next one has to be remembered.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from random import Random

from authkit.workload.population import DAY_US, Person

_THURSDAY = 3  # 1970-01-01


def weekday(at_us: int) -> int:
    """Return the day of the week in UTC, Monday is 0."""
    return (at_us // DAY_US + _THURSDAY) % 7


class Calendar:
    """Next login day of each person; days are asked for in order, once each."""

    def __init__(
        self, rng: Random, people: list[Person], *, start_us: int, days: int
    ) -> None:
        self._rng = rng
        self._people = people
        self._buckets: list[list[int]] = [[] for _ in range(days)]
        # Weight that has passed at the end of each day, by what a weekend weighs.
        self._passed = {
            weekend: _weights(start_us, days, weekend)
            for weekend in {p.weekend for p in people}
        }
        self._left = array("l", [p.logins for p in people])
        self._at = array("d", [0.0]) * len(people)
        for person in people:
            born = max(0.0, (person.created_us - start_us) / DAY_US)
            passed = self._passed[person.weekend]
            day = int(born)
            before = passed[day - 1] if day else 0.0
            # A share of the day of registration has passed.
            self._at[person.index] = before + (born - day) * (passed[day] - before)
            self._book(person.index)

    def on(self, day: int) -> Iterator[Person]:
        """Yield who logs in on a day, once per login; books their next login."""
        bucket = self._buckets[day]
        position = 0
        while position < len(bucket):  # it grows: somebody may come twice a day
            index = bucket[position]
            position += 1
            self._left[index] -= 1
            self._book(index)
            yield self._people[index]
        self._buckets[day] = []

    def _book(self, index: int) -> None:
        left = self._left[index]
        if left == 0:
            return
        passed = self._passed[self._people[index].weekend]
        now = self._at[index]
        share = 1.0 - (1.0 - self._rng.random()) ** (1.0 / left)
        when = now + (passed[-1] - now) * share
        self._at[index] = when
        day = min(bisect_right(passed, when), len(passed) - 1)
        self._buckets[day].append(index)


def _weights(start_us: int, days: int, weekend: float) -> list[float]:
    # The middle of a day says which weekday it is: worlds begin at any full hour.
    noon = start_us + DAY_US // 2
    return list(
        accumulate(
            1.0 if weekday(noon + day * DAY_US) < 5 else weekend for day in range(days)
        )
    )
