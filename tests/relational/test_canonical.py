"""RFC 8785: its own examples, and properties that must hold for every value."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.relational.canonical import (
    MAX_DEPTH,
    MAX_SAFE_INTEGER,
    canonical,
    number,
)

# RFC 8785 appendix B: IEEE 754 bits and their JSON writing.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(
                st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def read(text: bytes) -> object:
    """Read as ECMAScript does: every number is a double."""
    return json.loads(text, parse_int=lambda digits: _narrow(float(digits)))


def _narrow(value: float) -> int | float:
    return int(value) if abs(value) <= MAX_SAFE_INTEGER else value


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_a_double_is_written_as_the_rfc_writes_it(bits: str, text: str):
    assert number(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


def test_the_example_of_section_3_2_2_comes_out_byte_for_byte():
    value = {
        "numbers": [
            333333333.33333329,
            1e30,
            4.50,
            2e-3,
            0.000000000000000000000000001,
        ],
        "string": '€$\x0f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    assert (
        canonical(value)
        == (
            '{"literals":[null,true,false],'
            '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_names_are_sorted_by_utf_16_code_unit():
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\xf6"]
    expected = ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(dict.fromkeys(names, 0)))) == expected


@given(JSON)
def test_what_is_written_reads_back_as_the_same_value(value: object):
    assert read(canonical(value)) == value


@given(JSON)
def test_writing_what_was_read_changes_nothing(value: object):
    once = canonical(value)
    assert canonical(read(once)) == once


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "NaN and infinities are not"),
        (float("inf"), "NaN and infinities are not"),
        (2**53, "beyond 2**53 - 1"),
        (-(2**53), "beyond 2**53 - 1"),
        ("\ud800", "a lone surrogate"),
        ({"\ud800": 1}, "a lone surrogate"),
        ("a\x00b", "a NUL character"),
        ({1: "a"}, "the names of a JSON object"),
        (b"bytes", "a bytes is not"),
        ({"a"}, "a set is not"),
        (object(), "a object is not"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_json_is_refused_by_name(value: object, why: str):
    with pytest.raises(InvalidInput) as refused:
        canonical(value)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    "around", [lambda inner: [inner], lambda inner: {"in": inner}], ids=["list", "name"]
)
def test_values_nest_as_deep_as_is_allowed_and_no_deeper(around):
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = around(value)
    assert json.loads(canonical(value)) == value
    with pytest.raises(InvalidInput, match="nested deeper than 64"):
        canonical(around(value))


def test_nesting_without_end_is_refused_before_the_stack_is():
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidInput, match="nested deeper"):
        canonical(value)


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5"), (-0.05, "-0.05"), (1.5, "1.5"), (1e-7, "1e-7")]
)
def test_a_fraction_is_written_plainly_while_it_is_short(value: float, text: str):
    assert number(value) == text
