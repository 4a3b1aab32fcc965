"""The derivation of successors, written out a second time: its layout may never change.

A new version that derived otherwise would answer a retry in the grace with a token that
the table does not know.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64encode
from hashlib import sha256
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from authkit.crypto import KeyRing
from authkit.errors import ConfigError
from authkit.hot.successors import SALT_BYTES, new_salt, successors

FAMILY = UUID("0190c0de-0000-7000-8000-000000000001")
KEYS = {"new": b"n" * 32, "old": b"o" * 32}
RING = KeyRing(tuple(KEYS.items()))
BASE = {"family": FAMILY, "generation": 258, "salt": b"s" * 32, "token": "presented"}


def mac(key: bytes, message: bytes) -> bytes:
    made = HMAC(key, SHA256())
    made.update(message)
    return made.finalize()


def expected(key: bytes, label: bytes) -> str:
    message = b""
    for part in (label, FAMILY.bytes, struct.pack(">Q", 258), b"s" * 32, b"presented"):
        message += struct.pack(">I", len(part)) + part
    derived = mac(mac(key, b"authkit/oauth/successor"), message)
    return urlsafe_b64encode(derived).decode().rstrip("=")


@pytest.mark.parametrize("key_id", KEYS)
def test_both_tokens_are_hmacs_over_length_prefixed_parts(key_id):
    pair = successors(RING, key_id=key_id, **BASE)
    assert pair.refresh == expected(KEYS[key_id], b"refresh")
    assert pair.access == expected(KEYS[key_id], b"access")
    assert pair.digests == (
        sha256(pair.refresh.encode()).digest(),
        sha256(pair.access.encode()).digest(),
    )


def test_no_repr_shows_a_token():
    pair = successors(RING, key_id="new", **BASE)
    assert repr(pair) == "TokenPair()"


def test_a_key_that_is_gone_is_named():
    with pytest.raises(ConfigError) as caught:
        successors(RING, key_id="gone", **BASE)
    assert "AUTHKIT_SEALING_KEYS lacks key 'gone', which derives tokens" in str(
        caught.value
    )


def test_every_salt_is_new_and_has_its_length():
    salts = {new_salt() for _ in range(100)}
    assert {len(salt) for salt in salts} == {SALT_BYTES}
    assert len(salts) == 100


def test_a_token_is_as_long_as_every_other_whatever_it_ends_in():
    made = [
        successors(RING, key_id="new", **(BASE | {"generation": number}))
        for number in range(300)
    ]
    assert {len(pair.refresh) for pair in made} == {43}
    assert {len(pair.access) for pair in made} == {43}
