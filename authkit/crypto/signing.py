"""Signatures with Ed25519 (RFC 8032), with keys as OpenSSL writes and reads them.

`openssl genpkey -algorithm ed25519 -out key.pem` makes a key too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from authkit.errors import InvalidInput

SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """The public half: tells whether a signature is its private half's."""

    key: Ed25519PublicKey = field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read a public key (SubjectPublicKeyInfo, PEM).

        Raises:
            InvalidInput: it is none of Ed25519.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidInput("the file holds no public key of Ed25519 in PEM")
        return cls(key)

    def to_pem(self) -> bytes:
        """Write it as PEM (SubjectPublicKeyInfo, RFC 8410); `from_pem` reads it."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of the key's 32 bytes."""
        raw = self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return sha256(raw).hexdigest()[:16]

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature (64 bytes, Ed25519, RFC 8032) is this key's.

        False, and no error, for one of another length, key or message.
        """
        try:
            self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half; no repr shows it."""

    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Make a fresh key (Ed25519, RFC 8032) from the system's random numbers."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read a private key (PKCS #8, PEM, without a password).

        Raises:
            InvalidInput: it is none of Ed25519, or under a password.
        """
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidInput(
                "the file holds no private key of Ed25519 in PEM without a password"
            )
        return cls(key)

    def to_pem(self) -> bytes:
        """Write it as PEM, in clear: keep the file where only its user reads it."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> VerifyKey:
        """The half that may be known."""
        return VerifyKey(self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the signature: 64 bytes, Ed25519 (RFC 8032)."""
        return self.key.sign(message)
