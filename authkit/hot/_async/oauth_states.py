"""Logins at upstream providers: begun, and finished once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from authkit.crypto import KeyRing, tokens
from authkit.errors import InvalidInput
from authkit.hot import inputs, oauth_states
from authkit.hot.oauth_values import (
    PendingLogin,
    ReturnedLogin,
    challenge_of,
    challenge_text,
)
from authkit.hot.oauth_values import (
    redirect_uri as checked_uri,
)

from .runner import AsyncRunner

LIFETIME = timedelta(minutes=10)
_LONGEST = timedelta(hours=1)
_KEEP = timedelta(days=1)


class AsyncOAuthStates:
    """Logins that are away at a provider.

    Args:
        runner: on the cluster, or in a transaction.
        keys: gives the ring that seals the PKCE verifier; asked when it is needed.
    """

    def __init__(self, runner: AsyncRunner, keys: Callable[[], KeyRing]) -> None:
        self._runner = runner
        self._keys = keys

    async def create(
        self,
        *,
        provider: str,
        issuer: str,
        redirect_uri: str,
        user_id: UUID | None = None,
        ip: inputs.Address | None = None,
        user_agent: str | None = None,
        lifetime: timedelta = LIFETIME,
    ) -> PendingLogin:
        """Begin a login at a provider; state, nonce and PKCE verifier are made here.

        Args:
            provider: what it is called.
            issuer: the `iss` that its answer must carry, against mix-up.
            redirect_uri: where it sends the browser back to.
            user_id: who links an account; None at a login.
            ip: where from.
            user_agent: with what; cut to 512 characters.
            lifetime: until when the browser must be back; at most an hour.

        Raises:
            InvalidInput: a part is not acceptable.
            ConfigError: there is no key to seal the verifier.
        """
        if inputs.span(lifetime, "lifetime") > _LONGEST:
            raise InvalidInput("a login at a provider takes at most an hour")
        state, binding, nonce = tokens.issue(), tokens.issue(), tokens.issue()
        verifier = tokens.issue().token
        params = (
            state.digest,
            binding.digest,
            inputs.text(provider, "provider", limit=100),
            inputs.text(issuer, "issuer", limit=2048),
            nonce.digest,
            self._keys().seal(verifier.encode(), context=_context(state.digest)),
            self._keys().active_id,
            checked_uri(redirect_uri),
            inputs.optional_identifier(user_id, "user id"),
            inputs.optional_address(ip),
            inputs.user_agent(user_agent),
            lifetime,
        )
        written = await self._runner.write(oauth_states.CREATE, params)
        return PendingLogin(
            state.token,
            nonce.token,
            challenge_text(challenge_of(verifier)),
            binding.token,
            written.rows[0].expires_at,
        )

    async def consume(self, state: str, browser_binding: str) -> ReturnedLogin | None:
        """Finish a login, once; None for a wrong, old or used state or another browser.

        Args:
            state: as the provider sent it back.
            browser_binding: the cookie of the browser that brought it.

        Raises:
            InvalidInput: one of them cannot be a token.
            ConfigError: the key that sealed the verifier is not in the ring any more.
        """
        digest = tokens.digest(state)
        params = (digest, tokens.digest(browser_binding))
        written = await self._runner.write(oauth_states.CONSUME, params)
        if not written.rows:
            return None
        (row,) = written.rows
        sealed = row.verifier_sealed or b""
        return ReturnedLogin(
            row.provider,
            row.issuer,
            row.nonce_digest or b"",
            self._keys().open(sealed, context=_context(digest)).decode(),
            row.redirect_uri,
            row.user_id,
        )

    async def purge(self, *, keep: timedelta = _KEEP, limit: int = 10_000) -> int:
        """Delete what expired this long ago; returns how many. Bounded.

        Raises:
            InvalidInput: `keep` is negative, or `limit` not between 1 and 100,000.
        """
        params = (
            inputs.span(keep, "time to keep", zero=True),
            inputs.count(limit, "limit", low=1, high=100_000),
        )
        return await self._runner.execute(oauth_states.PURGE, params)


def _context(state_digest: bytes) -> bytes:
    return b"oauth_state_tracking/" + state_digest + b"/verifier"
