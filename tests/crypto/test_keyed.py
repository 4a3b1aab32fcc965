from __future__ import annotations

import base64
import unicodedata

import pytest

from authkit.crypto import KeyedHash, normalise_email
from authkit.errors import ConfigError, InvalidInput

KEY = KeyedHash(bytes(range(32)))


def test_spellings_of_one_address_hash_alike():
    assert KEY.subject(" Ada@Example.COM ") == KEY.subject("ada@example.com")


def test_addresses_that_hosts_tell_apart_hash_apart():
    assert KEY.subject("ada+x@example.com") != KEY.subject("ada@example.com")


def test_a_device_and_a_subject_of_the_same_text_hash_apart():
    assert KEY.subject("ada") != KEY.device("ada")


def test_another_key_hashes_apart():
    assert KeyedHash.random().subject("ada") != KEY.subject("ada")


def test_the_key_is_read_from_base64():
    text = base64.b64encode(bytes(range(32))).decode()
    assert KeyedHash.from_base64(text) == KEY


@pytest.mark.parametrize("text", ["", "abc", "?" * 44, base64.b64encode(b"x").decode()])
def test_a_key_of_the_wrong_shape_is_a_configuration_error(text: str):
    with pytest.raises(ConfigError, match="AUTHKIT_TOKEN_KEY"):
        KeyedHash.from_base64(text)


def test_the_key_is_in_no_repr():
    assert repr(KEY) == "KeyedHash()"


@pytest.mark.parametrize("large", ["H\u0331", "J\u030c", "T\u0308", "W\u030a"])
def test_a_name_in_capitals_is_the_same_whose_small_letter_has_its_mark(large: str):
    name = normalise_email(f"{large}an@example.org")
    assert normalise_email(name) == name
    assert unicodedata.is_normalized("NFKC", name)
    assert name == normalise_email(f"{large.lower()}an@example.org")


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\nb", "x" * 321])
def test_an_impossible_name_is_refused(name: str):
    with pytest.raises(InvalidInput):
        normalise_email(name)


@pytest.mark.parametrize("device", ["", "\ud800", "x" * 65_537, None, b"x"])
def test_an_impossible_device_is_refused(device):
    with pytest.raises(InvalidInput):
        KEY.device(device)
