"""Tokens that upstream providers gave us, for acting in a user's name there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from authkit.crypto import KeyRing
from authkit.hot import inputs, oauth_providers, retention
from authkit.hot.oauth_providers import ProviderTokens, SealedTokens

from .runner import AsyncRunner

_KEEP = timedelta(days=400)


class AsyncOAuthProviders:
    """Providers' tokens: sealed before they are sent, opened after they are read.

    Args:
        runner: on the cluster, or in a transaction.
        keys: gives the ring that seals and opens.
    """

    def __init__(self, runner: AsyncRunner, keys: Callable[[], KeyRing]) -> None:
        self._runner = runner
        self._keys = keys

    async def put(
        self,
        user_id: UUID,
        provider: str,
        provider_account_id: str,
        *,
        access_token: str,
        refresh_token: str | None = None,
        id_token: str | None = None,
        expires_at: datetime | None = None,
        token_type: str = "Bearer",  # noqa: S107 # a kind, and no password
        scope: str | None = None,
        session_state: str | None = None,
        replacing: datetime | None = None,
    ) -> datetime | None:
        """Store what a provider gave; returns when, or None where others came first.

        None as well where there is no such user, or the user was erased.

        What the provider left out (`refresh_token`, `id_token`, `scope`) stays as it
        was.

        Args:
            user_id: whose.
            provider: its name.
            provider_account_id: the user's id there (`sub`).
            access_token: as it was given.
            refresh_token: likewise.
            id_token: likewise.
            expires_at: of the access token; None where the provider is silent.
            token_type: of the access token.
            scope: that was granted.
            session_state: of OpenID Connect Session Management.
            replacing: `updated_at` of the tokens that were refreshed: of several who
                refresh at once one is stored.

        Raises:
            InvalidInput: a part is not acceptable.
            AlreadyExists: the account there belongs to another user.
            ConfigError: there is no key to seal with.
        """
        ring = self._keys()
        account = (
            inputs.identifier(user_id, "user id"),
            inputs.text(provider, "provider", limit=100),
            inputs.text(provider_account_id, "provider's account id", limit=255),
        )
        params = (
            *account,
            _seal(ring, account, "access", access_token),
            _seal(ring, account, "refresh", refresh_token),
            _seal(ring, account, "id", id_token),
            ring.active_id,
            None if expires_at is None else inputs.moment(expires_at, "expiry"),
            inputs.text(token_type, "token type", limit=100),
            None if scope is None else inputs.text(scope, "scope", limit=4096),
            None
            if session_state is None
            else inputs.text(session_state, "session state", limit=4096),
            None if replacing is None else inputs.moment(replacing, "time"),
        )
        written = await self._runner.write(oauth_providers.PUT, params)
        return written.rows[0].updated_at if written.rows else None

    async def of_user(
        self, user_id: UUID, provider: str | None = None
    ) -> list[ProviderTokens]:
        """Return a user's tokens, of one provider or of all; opened, from the primary.

        Raises:
            InvalidInput: the provider is no name, or a row was tampered with.
            ConfigError: the key that sealed them is not in the ring.
        """
        params = (
            inputs.identifier(user_id, "user id"),
            None if provider is None else inputs.text(provider, "provider", limit=100),
        )
        ring = self._keys()
        rows = await self._runner.fetch_all(oauth_providers.OF_USER, params)
        return [_opened(ring, row) for row in rows]

    async def forget(
        self, user_id: UUID, provider: str, provider_account_id: str | None = None
    ) -> int:
        """Delete a user's tokens of a provider, of one account there or of all.

        Raises:
            InvalidInput: a name is not acceptable.
        """
        account = provider_account_id
        params = (
            inputs.identifier(user_id, "user id"),
            inputs.text(provider, "provider", limit=100),
            None
            if account is None
            else inputs.text(account, "provider's account id", limit=255),
        )
        return await self._runner.execute(oauth_providers.DELETE, params)

    async def reseal(self, *, limit: int = 1000) -> int:
        """Seal under the active key what another one sealed; returns how many it found.

        Repeat while it returns anything, once every process seals with the active key;
        then the others may leave the ring. What was replaced meanwhile is left to the
        next call: of a refresh, the provider's older tokens stay.

        Raises:
            InvalidInput: the limit is not 1 to 10,000, or a row was tampered with.
            ConfigError: there is no key to seal with, or one that sealed is not there.
        """
        ring = self._keys()
        size = inputs.count(limit, "limit", low=1, high=10_000)
        rows = await self._runner.fetch_all(
            oauth_providers.SEALED_BY_OTHERS, (ring.active_id, size)
        )
        for row in rows:
            tokens = _opened(ring, row)
            account = (row.user_id, row.provider, row.provider_account_id)
            params = (
                *account,
                row.access_token_sealed,
                _seal(ring, account, "access", tokens.access_token),
                _seal(ring, account, "refresh", tokens.refresh_token),
                _seal(ring, account, "id", tokens.id_token),
                ring.active_id,
            )
            await self._runner.execute(oauth_providers.RESEAL, params)
        return len(rows)

    async def purge(self, *, keep: timedelta = _KEEP, limit: int = 10_000) -> int:
        """Delete what nobody refreshed for this long; returns how many. Bounded.

        Raises:
            InvalidInput: `keep` is negative, or `limit` not between 1 and 100,000.
        """
        params = (
            inputs.span(keep, "time to keep", zero=True),
            inputs.count(limit, "limit", low=1, high=100_000),
        )
        return await self._runner.execute(retention.PROVIDER_TOKENS, params)


def _context(account: tuple[UUID, str, str], kind: str) -> bytes:
    user_id, provider, name = account
    parts = (user_id.bytes, provider.encode(), name.encode(), kind.encode())
    return b"oauth_token_cache" + b"".join(
        len(part).to_bytes(4, "big") + part for part in parts
    )


def _seal(
    ring: KeyRing, account: tuple[UUID, str, str], kind: str, token: str | None
) -> bytes | None:
    if token is None:
        return None
    plain = inputs.text(token, f"{kind} token", limit=oauth_providers.MAX_TOKEN_CHARS)
    return ring.seal(plain.encode(), context=_context(account, kind))


def _opened(ring: KeyRing, row: SealedTokens) -> ProviderTokens:
    account = (row.user_id, row.provider, row.provider_account_id)

    def token(kind: str, sealed: bytes | None) -> str | None:
        if sealed is None:
            return None
        return ring.open(sealed, context=_context(account, kind)).decode()

    return ProviderTokens(
        row.provider,
        row.provider_account_id,
        token("access", row.access_token_sealed) or "",
        token("refresh", row.refresh_token_sealed),
        token("id", row.id_token_sealed),
        row.expires_at,
        row.token_type,
        row.scope,
        row.session_state,
        row.updated_at,
    )
