"""One-time codes by time (RFC 6238): secrets, their address, and which code is when.

SHA-1, six digits and thirty seconds: what every authenticator app can do. HMAC does not
need collision resistance (RFC 6238, section 1.2; RFC 4226, appendix B.2).
"""

from __future__ import annotations

import binascii
import re
from base64 import b32decode
from datetime import datetime
from hmac import compare_digest
from secrets import token_bytes
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from authkit.errors import InvalidInput

STEP_S: Final = 30
DIGITS: Final = 6
SECRET_BYTES: Final = 20  # of the hash's length (RFC 4226, section 4, R6)
# A clock may be off by one step, and a code is typed as it ends (RFC 6238, 5.2).
_AROUND: Final = 1
# What other systems have made: 80 bits was long the custom, a block of SHA-1 is 512.
_LEAST_BYTES: Final = 10
_MOST_BYTES: Final = 64
_TYPED = re.compile(r"\s*(?:[0-9]\s*){6}", re.ASCII)


def new_secret() -> bytes:
    """Return a secret of 160 random bits."""
    return token_bytes(SECRET_BYTES)


def written_secret(secret: str | bytes) -> bytes:
    """Return a secret that was made elsewhere: its bytes, or base32 as it is shown.

    Raises:
        InvalidInput: it is neither, or not of 10 to 64 bytes; it is not repeated.
    """
    raw = secret
    if isinstance(raw, str):
        letters = re.sub(r"[\s=-]", "", raw).upper()
        try:
            raw = b32decode(letters + "=" * (-len(letters) % 8))
        except (binascii.Error, ValueError):
            raise InvalidInput("the secret is not base32") from None
    if not isinstance(raw, bytes) or not _LEAST_BYTES <= len(raw) <= _MOST_BYTES:  # pyright: ignore[reportUnnecessaryIsInstance] # callers without a type checker
        raise InvalidInput(
            f"the secret is not of {_LEAST_BYTES} to {_MOST_BYTES} bytes"
        )
    return raw


def address(secret: bytes, *, issuer: str, account: str) -> str:
    """Return the `otpauth:` address of a secret: what a QR code for an app holds."""
    return _generator(secret).get_provisioning_uri(account, issuer)


def code_at(secret: bytes, step: int) -> str:
    """Return the code of a time step."""
    return _generator(secret).generate(step * STEP_S).decode()


def step_of(at: datetime) -> int:
    """Return the time step that a moment lies in."""
    return int(at.timestamp()) // STEP_S


def matching_step(secret: bytes, code: str, at: datetime) -> int | None:
    """Return the time step whose code this is: this one, the last or the next; or None.

    All are compared, each in constant time, whichever of them matches.
    """
    matching: int | None = None
    now = step_of(at)
    for step in range(max(0, now - _AROUND), now + _AROUND + 1):
        if compare_digest(code_at(secret, step).encode(), code.encode()):
            matching = step
    return matching


def typed(code: str) -> str:
    """Return a code without the spaces that apps show it with.

    Raises:
        InvalidInput: it cannot be a code; the message does not repeat it.
    """
    # A type checker's absence is no reason to fail later, and less clearly.
    if not isinstance(code, str) or _TYPED.fullmatch(code) is None:  # pyright: ignore[reportUnnecessaryIsInstance] # callers without a type checker
        raise InvalidInput(f"a one-time code has {DIGITS} digits")
    return "".join(code.split())


def _generator(secret: bytes) -> TOTP:
    sha1 = SHA1()  # noqa: S303 # the RFC's; the module says why it is enough
    # A shorter secret was made elsewhere: how short it may be was judged as it came.
    return TOTP(secret, DIGITS, sha1, STEP_S, enforce_key_length=False)
