"""Every repository of the hot path over one runner."""

from __future__ import annotations

from collections.abc import Callable

from authkit.crypto import KeyRing
from authkit.hot.keyless import no_keys

from .attempts import AsyncAttempts
from .auth_cache import AsyncAuthCache
from .oauth import AsyncOAuth
from .rate_limits import AsyncRateLimits
from .runner import AsyncRunner
from .sessions import AsyncSessions


class AsyncHot:
    """The hot path's repositories: on the cluster, or inside one transaction.

    Args:
        runner: what runs their operations.
        keys: gives the ring that seals and derives; asked when it is needed.
    """

    def __init__(
        self, runner: AsyncRunner, keys: Callable[[], KeyRing] = no_keys
    ) -> None:
        self.sessions = AsyncSessions(runner)
        self.attempts = AsyncAttempts(runner)
        self.auth_cache = AsyncAuthCache(runner)
        self.rate_limits = AsyncRateLimits(runner)
        self.oauth = AsyncOAuth(runner, keys)
