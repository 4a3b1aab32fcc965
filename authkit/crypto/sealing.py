"""Authenticated encryption for what must be read again: provider tokens, TOTP seeds.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce; the envelope names its key,
so that keys rotate without downtime: the first key seals, every key opens. Associated
data binds a sealed value to its row: moved elsewhere, it does not open.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authkit.errors import ConfigError, InvalidInput

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"
_MAX_KEY_ID = 64


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Sealing keys by id, the active one first; no repr shows a key."""

    keys: tuple[tuple[str, bytes], ...] = field(repr=False)

    def __post_init__(self) -> None:
        problems: list[str] = []
        if not self.keys:
            problems.append("AUTHKIT_SEALING_KEYS holds no key")
        for key_id, key in self.keys:
            if not (0 < len(key_id) <= _MAX_KEY_ID and key_id.isascii()):
                problems.append("AUTHKIT_SEALING_KEYS: a key id is not 1-64 ASCII")
            elif len(key) != KEY_BYTES:
                problems.append(f"AUTHKIT_SEALING_KEYS: key {key_id} is not 32 bytes")
        if len({key_id for key_id, _ in self.keys}) != len(self.keys):
            problems.append("AUTHKIT_SEALING_KEYS: a key id stands twice")
        if problems:
            raise ConfigError(problems)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `id:base64,id:base64`, the sealing key first.

        Raises:
            ConfigError: listing every malformed key, without its value.
        """
        keys: list[tuple[str, bytes]] = []
        for part in filter(None, (p.strip() for p in text.split(","))):
            key_id, _, encoded = part.partition(":")
            try:
                keys.append((key_id, base64.b64decode(encoded, validate=True)))
            except (binascii.Error, ValueError):
                keys.append((key_id, b""))
        return cls(tuple(keys))

    @classmethod
    def random(cls) -> Self:
        """Return a ring of one fresh key, for a world that ends with the process."""
        return cls((("ephemeral", secrets.token_bytes(KEY_BYTES)),))

    @property
    def active_id(self) -> str:
        """Id of the key that seals."""
        return self.keys[0][0]

    def seal(self, plain: bytes, *, context: bytes) -> bytes:
        """Encrypt under the active key: version, key id, nonce, ciphertext and tag.

        Args:
            plain: what to keep secret.
            context: what binds it to its row, e.g. `b"accounts/<id>/access_token"`.
        """
        key_id, key = self.keys[0]
        header = _VERSION + bytes([len(key_id)]) + key_id.encode("ascii")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return header + nonce + AESGCM(key).encrypt(nonce, plain, header + context)

    def open(self, sealed: bytes, *, context: bytes) -> bytes:
        """Decrypt what `seal` made with the same context.

        Raises:
            InvalidInput: the envelope is damaged or of another row.
            ConfigError: its key is not in the ring.
        """
        key_id, body_at = _key_id(sealed)
        key = dict(self.keys).get(key_id)
        if key is None:
            raise ConfigError(
                [f"AUTHKIT_SEALING_KEYS lacks key {key_id!r}, which sealed this"]
            )
        header = sealed[:body_at]
        nonce = sealed[body_at : body_at + _NONCE_BYTES]
        body = sealed[body_at + _NONCE_BYTES :]
        try:
            return AESGCM(key).decrypt(nonce, body, header + context)
        except InvalidTag:
            raise InvalidInput(
                "the sealed value is damaged or of another row"
            ) from None

    def reseal(self, sealed: bytes, *, context: bytes) -> bytes:
        """Encrypt under the active key what any key of the ring sealed.

        Raises:
            InvalidInput: the envelope is damaged or of another row.
            ConfigError: its key is not in the ring.
        """
        return self.seal(self.open(sealed, context=context), context=context)

    def needs_rotation(self, sealed: bytes) -> bool:
        """Tell whether a value was sealed by a key that is no longer the active one."""
        return _key_id(sealed)[0] != self.active_id


def _key_id(sealed: bytes) -> tuple[str, int]:
    if len(sealed) < 2 or sealed[:1] != _VERSION:
        raise InvalidInput("the sealed value has an unknown format")
    end = 2 + sealed[1]
    if len(sealed) < end + _NONCE_BYTES + 16:
        raise InvalidInput("the sealed value is cut short")
    try:
        return sealed[2:end].decode("ascii"), end
    except UnicodeDecodeError:
        raise InvalidInput("the sealed value has an unknown format") from None
