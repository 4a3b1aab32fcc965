"""What goes into the OAuth operations and what comes out of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import urlsplit
from uuid import UUID

from authkit.errors import InvalidInput
from authkit.hot import inputs

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}", re.ASCII)
MAX_CODE_LIFETIME = timedelta(minutes=10)


class CodeRefusal(Enum):
    """Why a code was not redeemed; its bearer is told `invalid_grant` either way."""

    INVALID = "unknown, expired, or of another client, address or verifier"
    REPLAYED = "it was redeemed before: its family was revoked"


class GrantRefused(Enum):
    """Why no code was made, and no tokens were issued."""

    UNAVAILABLE = "there is no such user, or one who is disabled; or no such session"


class TokenRefusal(Enum):
    """Why a token was not rotated; its bearer is told `invalid_grant` either way."""

    INVALID = "unknown, expired, revoked, or of another client or key"
    REUSED = "it was rotated before: its family was revoked"


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that goes to a provider. Nothing of it is shown again.

    `state`, `nonce` and `code_challenge` go into the request; `browser_binding` into a
    cookie (Secure, HttpOnly, SameSite=Lax).
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_challenge: str
    browser_binding: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ReturnedLogin:
    """A login that came back to the browser it began in.

    The provider's answer must carry `issuer` (RFC 9207), its ID token a nonce whose
    SHA-256 is `nonce_digest`; `verifier` goes into the token request.
    """

    provider: str
    issuer: str
    nonce_digest: bytes
    verifier: str = field(repr=False)
    redirect_uri: str
    user_id: UUID | None

    def nonce_matches(self, nonce: str) -> bool:
        """Tell whether the ID token's nonce is the one that was sent.

        A token where it is not answers somebody else's request (OpenID Connect Core
        3.1.3.7): refuse it.
        """
        # Half of a surrogate pair, which JSON can write, is no nonce of ours.
        digest = sha256(nonce.encode("utf-8", "surrogatepass")).digest()
        return compare_digest(digest, self.nonce_digest)


@dataclass(frozen=True, slots=True)
class NewCode:
    """A code for the client, shown once."""

    code: str = field(repr=False)
    family_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class GrantedTokens:
    """Tokens for the client. `repeated`: the same answer again, within the grace.

    A repetition is a signal for risk: its client lost an answer, or is not alone.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    access_expires_at: datetime
    refresh_expires_at: datetime
    family_id: UUID
    user_id: UUID | None
    session_id: UUID | None
    scopes: tuple[str, ...]
    nonce: str | None = field(default=None, repr=False)
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long tokens live; none lives longer than its family."""

    access: timedelta = timedelta(minutes=10)
    refresh: timedelta = timedelta(days=14)
    family: timedelta = timedelta(days=90)

    def __post_init__(self) -> None:
        inputs.span(self.access, "lifetime of access tokens")
        inputs.span(self.refresh, "lifetime of refresh tokens")
        inputs.span(self.family, "lifetime of the family")


def challenge_of(verifier: str) -> bytes:
    """Return the S256 challenge of a verifier, as its 32 bytes (RFC 7636, 4.2).

    Raises:
        InvalidInput: it is not 43 to 128 unreserved characters.
    """
    if _VERIFIER.fullmatch(verifier) is None:
        raise InvalidInput("the code verifier is not 43 to 128 unreserved characters")
    return sha256(verifier.encode("ascii")).digest()


def challenge_text(challenge: bytes) -> str:
    """Write a challenge as requests carry it: base64url without padding."""
    return base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()


def read_challenge(text: str, method: str) -> bytes:
    """Return the 32 bytes of a `code_challenge`.

    Raises:
        InvalidInput: the method is not S256 (`plain` proves nothing to whoever saw the
            request, RFC 9700 section 2.1.1), or it is not 43 base64url characters.
    """
    if method != "S256":
        raise InvalidInput("the code challenge method must be S256")
    if _CHALLENGE.fullmatch(text) is None:
        raise InvalidInput("the code challenge is not 43 base64url characters")
    return base64.urlsafe_b64decode(text + "=")


def redirect_uri(value: str) -> str:
    """Return an absolute URI without a fragment (RFC 6749 section 3.1.2).

    Raises:
        InvalidInput: it is something else, or longer than 2,048 characters.
    """
    inputs.text(value, "redirect URI", limit=2048)
    try:
        parts = urlsplit(value)
    except ValueError:
        raise InvalidInput("the redirect URI is not a URI") from None
    if not parts.scheme or "#" in value:
        raise InvalidInput("the redirect URI is not absolute, or has a fragment")
    return value


def scopes(values: Iterable[str]) -> list[str]:
    """Return scope tokens without repetition (RFC 6749 section 3.3).

    Raises:
        InvalidInput: one holds another character, or there are more than 100.
    """
    unique = inputs.labels(values, "scope", limit=100, chars=200)
    if any(_SCOPE.fullmatch(one) is None for one in unique):
        raise InvalidInput("a scope holds a character that it may not")
    return unique


def client_id(value: str) -> str:
    """Return a client's id.

    Raises:
        InvalidInput: it is empty, too long or not storable.
    """
    return inputs.text(value, "client id", limit=200)
