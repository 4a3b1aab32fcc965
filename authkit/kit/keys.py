"""The keys of a kit: read when an operation first needs them, not before."""

from __future__ import annotations

from authkit.crypto import KeyedHash, KeyRing
from authkit.errors import ConfigError
from authkit.settings import Settings


def keyed_hash(settings: Settings) -> KeyedHash:
    """Return the keyed hash of names and devices.

    Raises:
        ConfigError: AUTHKIT_TOKEN_KEY is not set, or is no key.
    """
    if settings.authkit_token_key is None:
        raise ConfigError(
            ["AUTHKIT_TOKEN_KEY is not set: make one with `openssl rand -base64 32`"]
        )
    return KeyedHash.from_base64(settings.authkit_token_key.get_secret_value())


def key_ring(settings: Settings) -> KeyRing:
    """Return the ring that seals provider tokens and TOTP seeds.

    Raises:
        ConfigError: AUTHKIT_SEALING_KEYS is not set, or holds no usable key.
    """
    if settings.authkit_sealing_keys is None:
        raise ConfigError(
            ['AUTHKIT_SEALING_KEYS is not set: try "1:$(openssl rand -base64 32)"']
        )
    return KeyRing.parse(settings.authkit_sealing_keys.get_secret_value())
