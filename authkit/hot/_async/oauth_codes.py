"""Authorisation codes: made for a client, redeemed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from authkit.crypto import KeyRing, tokens
from authkit.errors import InvalidInput
from authkit.hot import inputs, oauth_codes, oauth_values
from authkit.hot.oauth_values import (
    CodeRefusal,
    GrantedTokens,
    GrantRefused,
    Lifetimes,
    NewCode,
    challenge_of,
)
from authkit.hot.successors import TokenPair, new_salt
from authkit.ids import uuid7

from .runner import AsyncRunner

LIFETIME = timedelta(minutes=1)
_KEEP = timedelta(days=1)
DEFAULT_LIFETIMES = Lifetimes()


class AsyncOAuthCodes:
    """Authorisation codes, and the tokens that they are redeemed for.

    OWASP ASVS v5: once only, and a second presentation revokes what the first was given
    (10.4.2); a minute by default, ten at most (10.4.3); PKCE is asked for, and never
    plain (10.4.6).

    Args:
        runner: on the cluster, or in a transaction.
        keys: gives the ring that successors of tokens are derived from.
    """

    def __init__(self, runner: AsyncRunner, keys: Callable[[], KeyRing]) -> None:
        self._runner = runner
        self._keys = keys

    async def create(
        self,
        *,
        client_id: str,
        user_id: UUID,
        redirect_uri: str,
        code_challenge: str,
        code_challenge_method: str = "S256",
        scopes: Iterable[str] = (),
        nonce: str | None = None,
        session_id: UUID | None = None,
        lifetime: timedelta = LIFETIME,
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
    ) -> NewCode | GrantRefused:
        """Make a code for a client, and the family that its tokens will belong to.

        Args:
            client_id: whom for.
            user_id: who agreed, and is not disabled.
            redirect_uri: where the client was sent; redeeming must name it again.
            code_challenge: of the request (RFC 7636), base64url.
            code_challenge_method: S256, and nothing else.
            scopes: that were agreed to.
            nonce: to be echoed in the ID token.
            session_id: a live one of the user; ending it ends the tokens.
            lifetime: of the code, at most ten minutes.
            lifetimes: of the family.

        Raises:
            InvalidInput: a part is not acceptable.
        """
        if inputs.span(lifetime, "lifetime") > oauth_values.MAX_CODE_LIFETIME:
            raise InvalidInput("a code lives for ten minutes at most")
        issued, family_id = tokens.issue(), uuid7()
        params = (
            issued.digest,
            oauth_values.client_id(client_id),
            inputs.identifier(user_id, "user id"),
            inputs.optional_identifier(session_id, "session id"),
            family_id,
            oauth_values.redirect_uri(redirect_uri),
            oauth_values.scopes(scopes),
            oauth_values.read_challenge(code_challenge, code_challenge_method),
            None if nonce is None else inputs.text(nonce, "nonce", limit=512),
            lifetime,
            lifetimes.family,
        )
        written = await self._runner.write(oauth_codes.CREATE, params)
        if not written.rows:
            return GrantRefused.UNAVAILABLE
        return NewCode(issued.token, family_id, written.rows[0].expires_at)

    async def redeem(
        self,
        code: str,
        *,
        client_id: str,
        redirect_uri: str,
        code_verifier: str,
        proof_thumbprint: bytes | None = None,
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
    ) -> GrantedTokens | CodeRefusal:
        """Redeem a code for tokens, once, in one transaction on the family.

        Of many who present one code at most one is answered, and that one's tokens are
        revoked by the next who comes: whoever they are, one of them is a thief.

        Args:
            code: as the client presented it.
            client_id: which has authenticated itself, where it can.
            redirect_uri: the one that the code was made for.
            code_verifier: whose S256 challenge the code was made for.
            proof_thumbprint: SHA-256 thumbprint of the client's proof key.
            lifetimes: of the tokens.

        Raises:
            InvalidInput: a part cannot be what it should be.
            ConfigError: there is no key to derive successors from.
        """
        digest = tokens.digest(code)
        refresh, access = tokens.issue(), tokens.issue()
        params = (
            digest,
            oauth_values.client_id(client_id),
            oauth_values.redirect_uri(redirect_uri),
            challenge_of(code_verifier),
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
        written = await self._runner.write(
            oauth_codes.REDEEM, params, behind=(oauth_codes.LOCK_BY_CODE, (digest,))
        )
        if not written.rows:
            return CodeRefusal.INVALID
        (row,) = written.rows
        ends = (row.access_expires_at, row.refresh_expires_at)
        if not row.redeemed or ends[0] is None or ends[1] is None:
            return CodeRefusal.REPLAYED if row.replayed else CodeRefusal.INVALID
        pair = TokenPair(refresh.token, access.token)
        return GrantedTokens(
            pair.access,
            pair.refresh,
            ends[0],
            ends[1],
            row.family_id,
            row.user_id,
            row.session_id,
            tuple(row.scopes),
            row.nonce,
        )

    async def purge(self, *, keep: timedelta = _KEEP, limit: int = 10_000) -> int:
        """Delete codes that expired this long ago; returns how many. Bounded.

        A code that is gone can be presented again unseen: its family's end by then is
        up to the tokens' own rules.

        Raises:
            InvalidInput: `keep` is negative, or `limit` not between 1 and 100,000.
        """
        params = (
            inputs.span(keep, "time to keep", zero=True),
            inputs.count(limit, "limit", low=1, high=100_000),
        )
        return await self._runner.execute(oauth_codes.PURGE, params)
