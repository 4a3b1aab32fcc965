"""Successors of refresh tokens, derived so that many callers get one answer. Pure.

T(n+1) = HMAC-SHA-256(K, label, family, n+1, salt, T(n)), each part with its length
before it. The salt and the id of the key stand in the row of T(n); the key and T(n) do
not, so a dump derives nothing. Minting a fresh sibling in the grace instead would let
a thief fork the family unseen.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from authkit.crypto import KeyRing
from authkit.errors import ConfigError

SALT_BYTES = 32
# Sealing keys seal; what derives tokens is a key of its own, derived from them.
_PURPOSE = b"authkit/oauth/successor"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A refresh and an access token with their digests; no repr shows either."""

    refresh: str = field(repr=False)
    access: str = field(repr=False)

    @property
    def digests(self) -> tuple[bytes, bytes]:
        """SHA-256 of the refresh and of the access token."""
        return (
            sha256(self.refresh.encode()).digest(),
            sha256(self.access.encode()).digest(),
        )


def new_salt() -> bytes:
    """Return a salt for the row of a new refresh token."""
    return secrets.token_bytes(SALT_BYTES)


def successors(
    ring: KeyRing,
    *,
    key_id: str,
    family: UUID,
    generation: int,
    salt: bytes,
    token: str,
) -> TokenPair:
    """Derive what follows a refresh token.

    Args:
        ring: holds the key.
        key_id: as the token's row names it.
        family: of the token.
        generation: of the successor.
        salt: of the token's row.
        token: the refresh token itself.

    Raises:
        ConfigError: the key is not in the ring any more.
    """
    key = dict(ring.keys).get(key_id)
    if key is None:
        raise ConfigError(
            [f"AUTHKIT_SEALING_KEYS lacks key {key_id!r}, which derives tokens"]
        )
    derived = hmac.digest(key, _PURPOSE, "sha256")
    parts = (family.bytes, generation.to_bytes(8, "big"), salt, token.encode())
    return TokenPair(
        refresh=_derive(derived, b"refresh", parts),
        access=_derive(derived, b"access", parts),
    )


def _derive(key: bytes, label: bytes, parts: tuple[bytes, ...]) -> str:
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (label, *parts))
    digest = hmac.digest(key, message, "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
