"""Tokens and log positions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.cluster.consistency import Token, lsn_number, lsn_text
from authkit.errors import InvalidInput

POSITIONS = st.integers(0, 2**64 - 1)


@given(timeline=st.integers(1, 2**32 - 1), lsn=POSITIONS)
def test_a_token_survives_a_cookie(timeline, lsn):
    token = Token(timeline, lsn)
    assert Token.parse(str(token)) == token
    assert len(str(token)) <= 25


@given(lsn=POSITIONS)
def test_a_position_is_read_as_postgresql_writes_it(lsn):
    assert lsn_number(lsn_text(lsn)) == lsn


def test_a_position_of_the_documentation():
    assert lsn_number("16/B374D848") == 0x16B374D848


@given(text=st.text(max_size=40))
def test_what_is_no_token_is_refused(text):
    try:
        token = Token.parse(text)
    except InvalidInput:
        return
    assert str(token) == text or str(token) == text.lstrip("0")


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "0.5", "1.g", "1.5 ", "1.5\n"])
def test_near_misses_are_refused(text):
    with pytest.raises(InvalidInput, match="not a consistency token"):
        Token.parse(text)


def test_the_latest_of_two_contains_both():
    early, late, next_timeline = Token(1, 5), Token(1, 9), Token(2, 1)
    assert early.latest(late) is late
    assert late.latest(early) is late
    assert late.latest(next_timeline) is next_timeline
    assert late.latest(None) is late


def test_the_largest_token_is_read_and_nothing_longer():
    largest = Token(2**32 - 1, 2**64 - 1)
    assert Token.parse(str(largest)) == largest
    with pytest.raises(InvalidInput, match="not a consistency token"):
        Token.parse(f"{largest}0")
