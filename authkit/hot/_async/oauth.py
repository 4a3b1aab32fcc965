"""OAuth on both sides: logins at providers, and the codes and tokens we issue."""

from __future__ import annotations

from collections.abc import Callable

from authkit.crypto import KeyRing

from .oauth_codes import AsyncOAuthCodes
from .oauth_providers import AsyncOAuthProviders
from .oauth_states import AsyncOAuthStates
from .oauth_tokens import AsyncOAuthTokens
from .runner import AsyncRunner


class AsyncOAuth:
    """States, codes, tokens and providers' tokens: each kind has a store of its own."""

    def __init__(self, runner: AsyncRunner, keys: Callable[[], KeyRing]) -> None:
        self.states = AsyncOAuthStates(runner, keys)
        self.codes = AsyncOAuthCodes(runner, keys)
        self.tokens = AsyncOAuthTokens(runner, keys)
        self.providers = AsyncOAuthProviders(runner, keys)
