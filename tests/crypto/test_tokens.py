from __future__ import annotations

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from hypothesis import assume, given
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


@given(st.text(min_size=8, max_size=60))
def test_a_text_of_any_kind_is_never_repeated_in_the_error(text: str):
    assume(re.fullmatch(r"[A-Za-z0-9_-]{43}", text) is None)
    with pytest.raises(InvalidInput) as caught:
        digest(text)
    assert text not in str(caught.value)


@given(st.binary(min_size=32, max_size=32))
def test_every_token_of_our_shape_has_a_digest(entropy: bytes):
    token = base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()
    assert digest(token) == sha256(token.encode()).digest()


def test_threads_that_digest_at_once_get_each_its_own():
    issued = [issue() for _ in range(400)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(digest, [one.token for one in issued]))
    assert found == [one.digest for one in issued]
