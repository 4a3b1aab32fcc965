"""Tokens that we issue: issue, introspect, rotate, revoke, purge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from authkit.cluster import Token
from authkit.crypto import KeyRing, tokens
from authkit.hot import inputs, oauth_rotation, oauth_tokens, oauth_values, sessions
from authkit.hot.oauth_tokens import TokenInfo
from authkit.hot.oauth_values import (
    GrantedTokens,
    GrantRefused,
    Lifetimes,
    TokenRefusal,
)
from authkit.hot.outcomes import Revocation
from authkit.hot.successors import new_salt, successors
from authkit.ids import uuid7

from .runner import AsyncRunner

DEFAULT_LIFETIMES = Lifetimes()
GRACE = timedelta(seconds=10)
_KEEP = timedelta(days=7)


class AsyncOAuthTokens:
    """Issued tokens, in families.

    OWASP ASVS v5: refresh tokens rotate and may be bound to a key, a second use revokes
    the family (10.4.5, but for the grace of `rotate`); no rotation moves the family's
    end (10.4.8).

    Args:
        runner: on the cluster, or in a transaction.
        keys: gives the ring that successors of tokens are derived from.
    """

    def __init__(self, runner: AsyncRunner, keys: Callable[[], KeyRing]) -> None:
        self._runner = runner
        self._keys = keys

    async def issue(
        self,
        *,
        client_id: str,
        user_id: UUID | None = None,
        session_id: UUID | None = None,
        scopes: Iterable[str] = (),
        proof_thumbprint: bytes | None = None,
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
    ) -> GrantedTokens | GrantRefused:
        """Issue tokens of a new family without a code: to a client of our own, say.

        Args:
            client_id: whom to.
            user_id: in whose name, who is not disabled; None is the client itself.
            session_id: a live one of the user; ending it ends the tokens.
            scopes: that they are good for.
            proof_thumbprint: SHA-256 thumbprint of the client's proof key.
            lifetimes: of the tokens and their family.

        Raises:
            InvalidInput: a part is not acceptable.
            ConfigError: there is no key to derive successors from.
        """
        refresh, access = tokens.issue(), tokens.issue()
        family_id, allowed = uuid7(), oauth_values.scopes(scopes)
        params = (
            family_id,
            oauth_values.client_id(client_id),
            inputs.optional_identifier(user_id, "user id"),
            inputs.optional_identifier(session_id, "session id"),
            lifetimes.family,
            allowed,
            uuid7(),
            refresh.digest,
            uuid7(),
            access.digest,
            lifetimes.refresh,
            lifetimes.access,
            inputs.fingerprint(proof_thumbprint, "proof key thumbprint"),
            self._keys().active_id,
            new_salt(),
        )
        written = await self._runner.write(oauth_tokens.ISSUE, params)
        (row,) = written.rows
        if row.access_expires_at is None or row.refresh_expires_at is None:
            return GrantRefused.UNAVAILABLE
        return GrantedTokens(
            access.token,
            refresh.token,
            row.access_expires_at,
            row.refresh_expires_at,
            family_id,
            user_id,
            session_id,
            tuple(allowed),
        )

    async def introspect(
        self,
        token: str,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> TokenInfo | None:
        """Return what a good token stands for; None for any other (RFC 7662).

        It asks the primary unless a bound is given. A token's first use is noted, on
        the primary: it ends the grace of the refresh token before it.

        Raises:
            InvalidInput: the text cannot be a token.
        """
        found = await self._runner.fetch_one(
            oauth_tokens.INTROSPECT,
            (tokens.digest(token),),
            max_lag=max_lag,
            after=after,
        )
        if found is not None and found.first_used_at is None:
            await self._runner.execute(oauth_tokens.MARK_USED, (found.id,))
        return found

    async def rotate(
        self,
        refresh_token: str,
        *,
        client_id: str,
        proof_thumbprint: bytes | None = None,
        grace: timedelta = GRACE,
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
    ) -> GrantedTokens | TokenRefusal:
        """Take a refresh token and give the next pair.

        Of many who present one token at once one rotates it and the others get the very
        same answer, for as long as the grace lasts and nobody used what was given. Any
        other second presentation revokes the family.

        Args:
            refresh_token: as the client presented it.
            client_id: which has authenticated itself, where it can.
            proof_thumbprint: SHA-256 thumbprint of its proof key: the token's own.
            grace: for how long the same answer is given again; zero never.
            lifetimes: of the new tokens.

        Raises:
            InvalidInput: a part cannot be what it should be.
            ConfigError: the key that derives the successor is not in the ring.
        """
        digest = tokens.digest(refresh_token)
        client = oauth_values.client_id(client_id)
        thumbprint = inputs.fingerprint(proof_thumbprint, "proof key thumbprint")
        span = inputs.span(grace, "grace", zero=True)
        origin = await self._runner.fetch_one(oauth_rotation.DERIVATION, (digest,))
        if origin is None or origin.derivation_key_id is None:
            return TokenRefusal.INVALID
        pair = successors(
            self._keys(),
            key_id=origin.derivation_key_id,
            family=origin.family_id,
            generation=origin.generation + 1,
            salt=origin.derivation_salt or b"",
            token=refresh_token,
        )
        refresh_digest, access_digest = pair.digests
        params = (
            digest,
            client,
            thumbprint,
            uuid7(),
            refresh_digest,
            uuid7(),
            access_digest,
            lifetimes.refresh,
            lifetimes.access,
            span,
            self._keys().active_id,
            new_salt(),
        )
        written = await self._runner.write(
            oauth_rotation.ROTATE,
            params,
            behind=(oauth_rotation.LOCK_FAMILY, (origin.family_id,)),
        )
        if not written.rows:
            return TokenRefusal.INVALID
        (row,) = written.rows
        ends = (row.access_expires_at, row.refresh_expires_at)
        if row.reused or ends[0] is None or ends[1] is None:
            return TokenRefusal.REUSED if row.reused else TokenRefusal.INVALID
        return GrantedTokens(
            pair.access,
            pair.refresh,
            ends[0],
            ends[1],
            row.family_id,
            row.user_id,
            row.session_id,
            tuple(row.scopes),
            repeated=row.repeated,
        )

    async def revoke_family(
        self, family_id: UUID, *, reason: str = "revoked"
    ) -> Revocation:
        """End every token of a family, those being issued right now too.

        Raises:
            InvalidInput: the reason is not one lower-case word.
        """
        params = (
            inputs.identifier(family_id, "family id"),
            inputs.slug(reason, "reason"),
        )
        written = await self._runner.write(
            oauth_tokens.REVOKE_FAMILY, params, token=True
        )
        return Revocation(tuple(row.id for row in written.rows), written.token)

    async def revoke_all(self, user_id: UUID, *, reason: str = "revoked") -> Revocation:
        """End every family of a user, of a session or of none; sessions stay.

        Those being begun right now too.

        Raises:
            InvalidInput: the reason is not one lower-case word.
        """
        params = (
            inputs.identifier(user_id, "user id"),
            inputs.slug(reason, "reason"),
        )
        written = await self._runner.write(
            oauth_tokens.REVOKE_USER,
            params,
            behind=(sessions.LOCK_USER, (user_id,)),
            token=True,
        )
        return Revocation(tuple(row.id for row in written.rows), written.token)

    async def revoke(
        self, token: str, *, client_id: str, reason: str = "revoked"
    ) -> Revocation:
        """End the family of a token, for the client it was issued to (RFC 7009).

        Raises:
            InvalidInput: the text cannot be a token, or the reason is no word.
        """
        params = (
            tokens.digest(token),
            oauth_values.client_id(client_id),
            inputs.slug(reason, "reason"),
        )
        written = await self._runner.write(
            oauth_tokens.REVOKE_BY_TOKEN, params, token=True
        )
        return Revocation(tuple(row.id for row in written.rows), written.token)

    async def purge(self, *, keep: timedelta = _KEEP, limit: int = 10_000) -> int:
        """Delete families that ended this long ago, with their tokens. Bounded.

        Raises:
            InvalidInput: `keep` is negative, or `limit` not between 1 and 100,000.
        """
        params = (
            inputs.span(keep, "time to keep", zero=True),
            inputs.count(limit, "limit", low=1, high=100_000),
        )
        return await self._runner.execute(oauth_tokens.PURGE, params)
