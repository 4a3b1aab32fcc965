from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.crypto import digest, issue
from authkit.errors import InvalidInput


def test_an_issued_token_is_found_again_by_its_digest():
    issued = issue()
    assert digest(issued.token) == issued.digest
    assert issued.digest == sha256(issued.token.encode()).digest()


def test_two_tokens_differ():
    assert issue().token != issue().token


def test_the_repr_of_an_issued_token_does_not_show_it():
    issued = issue()
    assert issued.token not in repr(issued)


@pytest.mark.parametrize(
    "text",
    ["", "a" * 42, "a" * 44, "a" * 42 + "\n", "a" * 42 + "=", "é" * 43, "\x00" * 43],
)
def test_a_malformed_token_is_refused_without_being_repeated(text: str):
    with pytest.raises(InvalidInput) as caught:
        digest(text)
    assert not text.strip() or text not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_digest_or_a_named_error(text: str):
    try:
        assert len(digest(text)) == 32
    except InvalidInput as exc:
        assert len(text) < 8 or text not in str(exc)
