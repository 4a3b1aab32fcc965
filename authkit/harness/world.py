"""The world of one load process: users, open sessions and whom a call is about."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from uuid import UUID

_BROWSERS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"
        " (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
    ),
)
# Networks for documentation (RFC 5737): they belong to nobody.
_NETWORKS: Final = ("192.0.2", "198.51.100", "203.0.113")


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session this process opened; its token is known here and nowhere else."""

    token: str
    session_id: UUID
    user_id: UUID

    def __repr__(self) -> str:
        return f"OpenSession(session_id={self.session_id})"


class Zipf:
    """Chooses an index below `count`: the n-th with a weight of 1 / n ** exponent."""

    def __init__(self, count: int, exponent: float) -> None:
        weights = ((rank + 1) ** -exponent for rank in range(count))
        self._cumulative = list(accumulate(weights))

    def choose(self, source: random.Random) -> int:
        """Return an index."""
        point = source.random() * self._cumulative[-1]
        return min(bisect_left(self._cumulative, point), len(self._cumulative) - 1)


class World:
    """Users and sessions of one process; not shared between processes.

    Args:
        users: e-mail addresses to log in with by id, at least one.
        zipf: how unevenly they are chosen.
        seed: of every choice.
    """

    def __init__(self, users: Mapping[UUID, str], zipf: float, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 # a load, no secret
        self._users = list(users)
        self._emails = dict(users)
        self._zipf = zipf
        self._user_rank = Zipf(len(self._users), zipf)
        self._standing: list[OpenSession] = []
        self._session_rank = Zipf(1, zipf)
        self._fresh: deque[OpenSession] = deque(maxlen=10_000)
        self._refresh: deque[str] = deque(maxlen=10_000)

    def stand(self, sessions: Sequence[OpenSession]) -> None:
        """Take the sessions that were opened before the run; they stay open."""
        self._standing = list(sessions)
        self._session_rank = Zipf(len(self._standing), self._zipf)

    def user(self) -> UUID:
        """Choose a user."""
        return self._users[self._user_rank.choose(self.random)]

    def email_of(self, user_id: UUID) -> str:
        """Return the name that a user logs in with."""
        return self._emails[user_id]

    def nobody(self) -> str:
        """Return a name that nobody has (RFC 2606)."""
        return f"{self.random.getrandbits(64):016x}@nobody.invalid"

    def session(self) -> OpenSession:
        """Choose one of the standing sessions."""
        return self._standing[self._session_rank.choose(self.random)]

    def opened(self, session: OpenSession) -> None:
        """Keep a session that the run opened, for a later logout."""
        self._fresh.append(session)

    def to_close(self) -> OpenSession | None:
        """Take the oldest session that the run opened, None when there is none."""
        return self._fresh.popleft() if self._fresh else None

    def replace_sessions_of(self, user_id: UUID) -> None:
        """Let sessions of a user, which have all ended, be followed by open ones."""
        for at, session in enumerate(self._standing):
            if session.user_id == user_id and self._fresh:
                self._standing[at] = self._fresh.popleft()

    def granted(self, refresh_token: str) -> None:
        """Keep a refresh token, for a later rotation."""
        self._refresh.append(refresh_token)

    def to_refresh(self) -> str | None:
        """Take the oldest refresh token, None when there is none."""
        return self._refresh.popleft() if self._refresh else None

    def any_address(self) -> str:
        """Choose a client address from the network for benchmarks (RFC 2544)."""
        choose = self.random.randrange
        return f"198.{choose(18, 20)}.{choose(256)}.{choose(1, 255)}"

    def address(self) -> str:
        """Choose a client address from the networks reserved for documentation."""
        return f"{self.random.choice(_NETWORKS)}.{self.random.randrange(1, 255)}"

    def browser(self) -> str:
        """Choose a User-Agent header."""
        return self.random.choice(_BROWSERS)
