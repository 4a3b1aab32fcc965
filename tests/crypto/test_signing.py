from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authkit.crypto.signing import SIGNATURE_BYTES, SigningKey, VerifyKey
from authkit.errors import InvalidInput


def test_the_signature_is_the_one_of_rfc_8032():
    # Section 7.1, TEST 2.
    key = SigningKey(
        Ed25519PrivateKey.from_private_bytes(
            bytes.fromhex(
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
            )
        )
    )
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_a_key_survives_its_file_and_signs_for_its_public_half_alone():
    key, other = SigningKey.generate(), SigningKey.generate()
    again = SigningKey.from_pem(key.to_pem())
    public = VerifyKey.from_pem(again.public.to_pem())
    signature = again.sign(b"message")
    assert len(signature) == SIGNATURE_BYTES
    assert public.id == key.public.id != other.public.id
    assert public.verify(b"message", signature)
    assert not public.verify(b"massage", signature)
    assert not public.verify(b"message", signature[:-1] + b"\x00\x00")
    assert not other.public.verify(b"message", signature)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\n", b"key"])
def test_a_file_that_holds_no_key_is_refused(pem: bytes):
    for read in (SigningKey.from_pem, VerifyKey.from_pem):
        with pytest.raises(InvalidInput):
            read(pem)
    with pytest.raises(InvalidInput):
        VerifyKey.from_pem(SigningKey.generate().to_pem())


def test_no_repr_shows_a_key():
    key = SigningKey.generate()
    assert repr(key) == "SigningKey()"
    assert repr(key.public) == "VerifyKey()"
