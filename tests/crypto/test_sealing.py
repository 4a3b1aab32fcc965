from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.crypto import KeyRing
from authkit.errors import ConfigError, InvalidInput

OLD = ("2025", b"o" * 32)
NEW = ("2026", b"n" * 32)
RING = KeyRing((NEW, OLD))


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_what_is_sealed_opens_again(plain: bytes, context: bytes):
    assert RING.open(RING.seal(plain, context=context), context=context) == plain


def test_a_sealed_value_does_not_open_in_another_row():
    sealed = RING.seal(b"secret", context=b"accounts/1")
    with pytest.raises(InvalidInput):
        RING.open(sealed, context=b"accounts/2")


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject):
    sealed = bytearray(RING.seal(b"secret", context=b"c"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((InvalidInput, ConfigError)):
        RING.open(bytes(sealed), context=b"c")


def test_an_old_key_still_opens_and_is_reported_for_rotation():
    sealed = KeyRing((OLD,)).seal(b"secret", context=b"c")
    assert RING.open(sealed, context=b"c") == b"secret"
    assert RING.needs_rotation(sealed)
    assert not RING.needs_rotation(RING.seal(b"secret", context=b"c"))


def test_what_an_old_key_sealed_is_sealed_anew_and_still_of_its_row():
    anew = RING.reseal(KeyRing((OLD,)).seal(b"secret", context=b"c"), context=b"c")
    assert not RING.needs_rotation(anew)
    assert KeyRing((NEW,)).open(anew, context=b"c") == b"secret"
    with pytest.raises(InvalidInput):
        RING.reseal(anew, context=b"another row")


def test_a_missing_key_is_named_without_any_value():
    sealed = RING.seal(b"secret", context=b"c")
    with pytest.raises(ConfigError, match="2026"):
        KeyRing((OLD,)).open(sealed, context=b"c")


def test_every_malformed_key_is_listed_at_once():
    good = base64.b64encode(b"x" * 32).decode()
    with pytest.raises(ConfigError) as caught:
        KeyRing.parse(f"a:{good},a:{good},b:short,:{good}")
    assert len(caught.value.problems) == 3
    assert good not in str(caught.value)


@pytest.mark.parametrize(
    "sealed", [b"", b"\x01", b"\x02\x01a", b"\x01\x05ab", b"\x01\xff"]
)
def test_an_envelope_that_is_none_is_refused(sealed: bytes):
    with pytest.raises(InvalidInput):
        RING.open(sealed, context=b"c")


def test_no_repr_shows_a_key():
    assert "n" * 8 not in repr(RING)
