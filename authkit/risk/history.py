"""What is known of the past when a login is scored: counts of accepted values.

Only completed logins are counted, so that an attacker's failures teach nothing, and
only for a horizon: whoever moved house is not a stranger at home for ever.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from authkit.risk.features import LEVELS, Features

HORIZON = timedelta(days=182)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class History:
    """The past of one user and of everybody: what every model may read.

    `user` and `everybody` count values by (level, value) over `n` and `total`
    completed logins; `users` is how many people those are of.
    """

    n: int
    user: Mapping[Key, int]
    total: int
    everybody: Mapping[Key, int]
    users: int

    def seen(self, level: str, value: str) -> int:
        """Return how many of the user's logins had a value."""
        return self.user.get((level, value), 0)


class _Past:
    __slots__ = ("counts", "logins")

    def __init__(self) -> None:
        self.logins: deque[tuple[int, Features]] = deque()
        self.counts: Counter[Key] = Counter()


_NOTHING: Counter[Key] = Counter()


class Histories:
    """Histories of many users, in memory, for replay and evaluation.

    The mappings of a returned `History` are live: score with it before learning more.
    """

    def __init__(self, horizon: timedelta = HORIZON) -> None:
        self._horizon_us = horizon // timedelta(microseconds=1)
        self._users: dict[object, _Past] = {}
        self._everybody: Counter[Key] = Counter()
        self._total = 0

    def of(self, user_id: object, at_us: int) -> History:
        """Return the past of a user as of a time; what is older than the horizon ages.

        The counts over everybody age when their user is next looked at: they change
        slowly, and models read them as background rates only.
        """
        past = self._users.get(user_id)
        if past is None:
            return History(0, _NOTHING, self._total, self._everybody, len(self._users))
        while past.logins and past.logins[0][0] < at_us - self._horizon_us:
            _, old = past.logins.popleft()
            self._count(past.counts, old, -1)
            self._count(self._everybody, old, -1)
            self._total -= 1
        return History(
            len(past.logins),
            past.counts,
            self._total,
            self._everybody,
            len(self._users),
        )

    def learn(self, user_id: object, at_us: int, features: Features) -> None:
        """Count a completed login."""
        past = self._users.get(user_id)
        if past is None:
            past = self._users[user_id] = _Past()
        past.logins.append((at_us, features))
        self._count(past.counts, features, 1)
        self._count(self._everybody, features, 1)
        self._total += 1

    @staticmethod
    def _count(counts: Counter[Key], features: Features, step: int) -> None:
        for level, value in zip(LEVELS, features, strict=True):
            if value is not None:
                key = (level, value)
                left = counts[key] + step
                if left:
                    counts[key] = left
                else:
                    del counts[key]
