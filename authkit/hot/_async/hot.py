"""Every repository of the hot path over one runner."""

from __future__ import annotations

from .attempts import AsyncAttempts
from .auth_cache import AsyncAuthCache
from .rate_limits import AsyncRateLimits
from .runner import AsyncRunner
from .sessions import AsyncSessions


class AsyncHot:
    """The hot path's repositories: on the cluster, or inside one transaction."""

    def __init__(self, runner: AsyncRunner) -> None:
        self.sessions = AsyncSessions(runner)
        self.attempts = AsyncAttempts(runner)
        self.auth_cache = AsyncAuthCache(runner)
        self.rate_limits = AsyncRateLimits(runner)
