"""Who logs in on which day: exact counts per person, memory for one date each.

The remaining logins of a person are spread evenly over the remaining time: of k uniform
points the first is at 1 - (1 - u) ** (1 / k) of the way, so that only the next one has
to be remembered.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
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
        self._start_us = start_us
        self._days = days
        self._buckets: list[list[int]] = [[] for _ in range(days)]
        self._left = array("l", [p.logins for p in people])
        self._at = array(
            "d", [max(0.0, (p.created_us - start_us) / DAY_US) for p in people]
        )
        for person in people:
            self._book(person.index, int(self._at[person.index]))

    def on(self, day: int) -> Iterator[Person]:
        """Yield who logs in on a day, once per login; books their next login."""
        bucket = self._buckets[day]
        position = 0
        while position < len(bucket):  # it grows: somebody may come twice a day
            index = bucket[position]
            position += 1
            self._left[index] -= 1
            self._book(index, day)
            yield self._people[index]
        self._buckets[day] = []

    def _book(self, index: int, today: int) -> None:
        left = self._left[index]
        if left == 0:
            return
        # From the point drawn before, not from the day it was moved to: moving would
        # otherwise push everybody towards the end.
        now = self._at[index]
        share = 1.0 - (1.0 - self._rng.random()) ** (1.0 / left)
        when = now + (self._days - now) * share
        self._at[index] = when
        day = min(int(when), self._days - 1)
        moved = self._off_weekend(index, day, today)
        self._buckets[max(moved, today)].append(index)

    def _off_weekend(self, index: int, day: int, today: int) -> int:
        """Move most logins of people with office hours to a day of the next week.

        Where the world ends before that, to the week before; where neither is left,
        they stay.
        """
        of_week = weekday(self._start_us + day * DAY_US + DAY_US // 2)
        if of_week < 5 or self._rng.random() < self._people[index].weekend:
            return day
        monday = day + 7 - of_week
        spread = int(self._rng.random() * 5)
        if monday + spread < self._days:
            return monday + spread
        earlier = monday - 7 + spread
        return earlier if earlier >= today else day
