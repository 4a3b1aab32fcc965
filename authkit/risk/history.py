"""What is known of the past when a login is scored: counts of accepted values.

Only completed logins are counted, so that an attacker's failures teach nothing, and
only for a horizon: whoever moved house is not a stranger at home for ever.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from authkit.risk.features import FACETS, MOVED, Features, facets

HORIZON = timedelta(days=182)
Key = tuple[str, str]
KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class History:
    """The past of one user and of everybody: what every model may read.

    `user` and `everybody` count values by (facet, value) over `n` and `total`
    completed logins; `users` is how many people those are of. `distinct` says how many
    values a facet has, `under` how many values of a level came with one address, by
    (level, address).
    """

    n: int
    user: Mapping[Key, int]
    total: int
    everybody: Mapping[Key, int]
    users: int
    distinct: Mapping[str, int] = field(default_factory=dict[str, int])
    under: Mapping[Key, int] = field(default_factory=dict[Key, int])

    def seen(self, level: str, value: str) -> int:
        """Return how many of the user's logins had a value, of `n`; 0 for a new one."""
        return self.user.get((level, value), 0)


class _Past:
    __slots__ = ("counts", "logins")

    def __init__(self) -> None:
        # When, what, and whether the address was new to the user then.
        self.logins: deque[tuple[int, Features, bool]] = deque()
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
        self._distinct: Counter[str] = Counter()
        self._pairs: Counter[tuple[str, str, str]] = Counter()
        self._under: Counter[Key] = Counter()
        self._total = 0

    def of(self, user_id: object, at_us: int) -> History:
        """Return the past of a user as of a time; what is older than the horizon ages.

        The counts over everybody age when their user is next looked at: they change
        slowly, and models read them as background rates only.
        """
        past = self._users.get(user_id)
        while past and past.logins and past.logins[0][0] < at_us - self._horizon_us:
            _, old, moved = past.logins.popleft()
            self._count(past.counts, old, -1, moved=moved)
        return History(
            0 if past is None else len(past.logins),
            _NOTHING if past is None else past.counts,
            self._total,
            self._everybody,
            len(self._users),
            self._distinct,
            self._under,
        )

    def learn(self, user_id: object, at_us: int, features: Features) -> None:
        """Count a completed login; a user's logins come in order of time.

        Args:
            user_id: whatever tells users apart, and can be a key.
            at_us: when, in microseconds since 1970 UTC; it ages by this.
            features: what was seen of it; what is None is not counted.
        """
        past = self._users.get(user_id)
        if past is None:
            past = self._users[user_id] = _Past()
        moved = ("ip", features.ip) not in past.counts
        past.logins.append((at_us, features, moved))
        self._count(past.counts, features, 1, moved=moved)

    def _count(
        self, counts: Counter[Key], features: Features, step: int, *, moved: bool
    ) -> None:
        self._total += step
        everybody = self._everybody
        for facet, value in zip(FACETS, facets(features), strict=True):
            if value is not None and (moved or facet != MOVED):
                key = (facet, value)
                _move(counts, key, step)
                if _move(everybody, key, step):
                    self._distinct[facet] += step
        if features.ip is not None:
            for level, above in (("asn", features.asn), ("country", features.country)):
                if above is None:
                    continue
                if _move(self._pairs, (level, features.ip, above), step):
                    _move(self._under, (level, features.ip), step)


def _move(counts: Counter[KeyT], key: KeyT, step: int) -> bool:
    """Count up or down by one; True where the key appeared or went."""
    left = counts[key] + step
    if left:
        counts[key] = left
        return left == step
    del counts[key]
    return True
