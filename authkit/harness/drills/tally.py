"""What users of a staleness drill know, and what came of their reads."""

from __future__ import annotations

import threading
from bisect import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import LiteralString

from authkit.cluster import Token
from authkit.harness.histogram import Histogram, merged

TABLE: LiteralString = """
DROP TABLE IF EXISTS public.drill_users;
CREATE TABLE public.drill_users (id int PRIMARY KEY, value bigint NOT NULL)
WITH (fillfactor = 50)
"""
FILL: LiteralString = """
INSERT INTO public.drill_users SELECT id, 0 FROM generate_series(1, %s) AS id
"""
WRITE: LiteralString = """
UPDATE public.drill_users SET value = value + 1 WHERE id = %s RETURNING value
"""
READ: LiteralString = "SELECT value FROM public.drill_users WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Known:
    """The newest value that a user wrote, and the token of its commit."""

    value: int = 0
    token: Token | None = None


class Users:
    """Users whose visits follow Zipf's law: the n-th comes 1/n as often as the first.

    Args:
        count: how many there are.
        reads: how many visits are wanted that read.
        seed: of who comes when.
    """

    def __init__(self, count: int, *, reads: int, seed: int) -> None:
        self.count = count
        self._weights = tuple(accumulate(1 / n for n in range(1, count + 1)))
        self._random = Random(seed)  # noqa: S311 # a simulation, no secret
        self._known = [Known()] * (count + 1)
        self._lock = threading.Lock()
        self._left = reads

    def wanted(self) -> bool:
        """Whether more is to be read."""
        return self._left > 0

    def enough(self) -> None:
        """Want no more."""
        self._left = 0

    def chance(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()

    def draw(self) -> int:
        """Return who comes next, from 1."""
        return bisect(self._weights, self._random.random() * self._weights[-1]) + 1

    def known(self, user: int) -> Known:
        """Return what a user knows."""
        return self._known[user]

    def reads(self) -> None:
        """Count a read that begins."""
        with self._lock:
            self._left -= 1

    def wrote(self, user: int, known: Known) -> None:
        """Remember what a user wrote, unless a later write is known."""
        with self._lock:
            if known.value > self._known[user].value:
                self._known[user] = known


class Tally:
    """What one worker counted."""

    def __init__(self) -> None:
        self.writes = 0
        self.reads = 0
        self.stale = 0
        self.by_replica = 0
        self.untold = 0
        self.untold_stale = 0
        self.errors: Counter[str] = Counter()
        self.took = Histogram()

    def read(self, seconds: float, *, stale: bool, by_replica: bool) -> None:
        """Count a read that was answered."""
        self.reads += 1
        self.stale += stale
        self.by_replica += by_replica
        self.took.record(round(1e9 * seconds))

    def control(self, *, stale: bool) -> None:
        """Count a read that was made without its user's token."""
        self.untold += 1
        self.untold_stale += stale

    def failed(self, error: Exception) -> None:
        """Count a visit that failed."""
        self.errors[type(error).__name__] += 1

    @classmethod
    def of(cls, parts: Iterable[Tally]) -> Tally:
        """Join the counts of many workers."""
        whole, parts = cls(), tuple(parts)
        for part in parts:
            whole.writes += part.writes
            whole.reads += part.reads
            whole.stale += part.stale
            whole.by_replica += part.by_replica
            whole.untold += part.untold
            whole.untold_stale += part.untold_stale
            whole.errors += part.errors
        whole.took = merged(part.took for part in parts)
        return whole
