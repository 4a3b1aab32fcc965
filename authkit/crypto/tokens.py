"""Bearer tokens: 256 random bits shown once, of which only the SHA-256 is stored.

A digest without salt or stretching is right here because the token has full entropy
(OWASP ASVS v5, 7.2.3: session tokens with at least 128 bits from a CSPRNG).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from authkit.errors import InvalidInput

TOKEN_BYTES = 32
TOKEN_CHARS = 43  # ceil(32 * 4 / 3), base64url without padding (RFC 4648 section 5)

# Every digest begins with a copy: making a new one took about a twentieth more of the
# client's time for one validation (OpenSSL 3, in turns with this).
_EMPTY = sha256()
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh token and its digest; the token is in no repr and no equality."""

    token: str = field(repr=False, compare=False)
    digest: bytes


def issue() -> IssuedToken:
    """Make a new token of 32 random bytes and its SHA-256 digest (32 bytes)."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return IssuedToken(token, sha256(token.encode("ascii")).digest())


def digest(token: str) -> bytes:
    """Return the SHA-256 digest (32 bytes) under which a token is stored.

    Raises:
        InvalidInput: the text cannot be a token of ours; it is not repeated.
    """
    try:
        malformed = len(token) != TOKEN_CHARS or _SHAPE.fullmatch(token) is None
    except TypeError:  # nothing at all, or the bytes of a header
        malformed = True
    if malformed:
        raise InvalidInput("the token is malformed: 43 base64url characters expected")
    hashed = _EMPTY.copy()
    hashed.update(token.encode("ascii"))
    return hashed.digest()
