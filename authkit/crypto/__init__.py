"""Secrets: issued once, stored as digests, sealed where they must be read again.

Pure functions over bytes; nothing here knows a table or a connection.
"""

from authkit.crypto.keyed import KeyedHash, normalise_email
from authkit.crypto.sealing import KeyRing
from authkit.crypto.signing import SigningKey, VerifyKey
from authkit.crypto.tokens import IssuedToken, digest, issue

__all__ = [
    "IssuedToken",
    "KeyRing",
    "KeyedHash",
    "SigningKey",
    "VerifyKey",
    "digest",
    "issue",
    "normalise_email",
]
