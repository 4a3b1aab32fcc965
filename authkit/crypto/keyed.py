"""Keyed hashes: names that can be compared but not guessed from a dump.

An e-mail address has little entropy, so a plain digest of it is a dictionary lookup
away. HMAC-SHA-256 (RFC 2104) under a key that the database never sees is not. Each
purpose hashes under its own label: a device hash can never equal a subject hash.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import Self

from authkit.errors import ConfigError, InvalidInput

KEY_BYTES = 32
_MAX_DEVICE_CHARS = 65_536
_MAX_NAME_CHARS = 320  # RFC 5321 section 4.5.3.1: 64 + 1 + 255


def normalise_email(email: str) -> str:
    """Return the form of an e-mail address or login name under which it is unique.

    Unicode NFKC, surrounding space removed, lower case. Dots and plus tags stay: RFC
    5321 section 2.4 leaves the local part to its host, and some tell them apart.

    Raises:
        InvalidInput: it is no text, empty, too long or holds a control character.
    """
    if not isinstance(email, str):  # pyright: ignore[reportUnnecessaryIsInstance] # callers without a type checker
        raise InvalidInput("the e-mail address or name is not a text")
    # Twice, as a small letter may be one with its mark where the large one is not.
    name = unicodedata.normalize("NFKC", email).strip().lower()
    name = unicodedata.normalize("NFKC", name).strip()
    if not name:
        raise InvalidInput("the e-mail address or name is empty")
    if len(name) > _MAX_NAME_CHARS:
        raise InvalidInput("the e-mail address or name is longer than 320 characters")
    # Cs is half of a surrogate pair, which UTF-8 has no writing for.
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in name):
        raise InvalidInput("the e-mail address or name holds a control character")
    return name


@dataclass(frozen=True, slots=True)
class KeyedHash:
    """HMAC-SHA-256 under one key, one label per purpose; every result has 32 bytes."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise ConfigError(["AUTHKIT_TOKEN_KEY is not 32 bytes of base64"])

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Read the key as `AUTHKIT_TOKEN_KEY` holds it.

        Raises:
            ConfigError: it is not 32 bytes of base64.
        """
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        return cls(key)

    @classmethod
    def random(cls) -> Self:
        """Return one under a fresh key, for a world that ends with the process."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def subject(self, email: str) -> bytes:
        """Hash whom a login names: the normalised e-mail address or user name."""
        return self._hash(b"authkit/subject", normalise_email(email).encode())

    def device(self, fingerprint: str) -> bytes:
        """Hash what the application knows a device by; the result has 32 bytes.

        Raises:
            InvalidInput: it is no text, empty, longer than 65,536 characters or has no
                writing in UTF-8.
        """
        if not isinstance(fingerprint, str) or not fingerprint:  # pyright: ignore[reportUnnecessaryIsInstance] # callers without a type checker
            raise InvalidInput("the device fingerprint is empty, or no text")
        if len(fingerprint) > _MAX_DEVICE_CHARS:
            raise InvalidInput(
                "the device fingerprint is longer than 65,536 characters"
            )
        try:
            message = fingerprint.encode()
        except UnicodeEncodeError:
            raise InvalidInput("the device fingerprint has a lone surrogate") from None
        return self._hash(b"authkit/device", message)

    def _hash(self, label: bytes, message: bytes) -> bytes:
        return hmac.digest(self.key, label + b"\x00" + message, "sha256")
