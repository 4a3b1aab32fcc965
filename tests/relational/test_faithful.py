"""Columns that say what the bytes say, in whatever digits the server writes them."""

from __future__ import annotations

import json

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.relational.canonical import canonical
from authkit.relational.faithful import unfaithful_column

SAID = {"actor": "system:x", "action": "invoice.pay", "outcome": "succeeded"}
LARGE = [1e16, -1e16, 2.0**53, 1e21, 1e23, 1.7976931348623157e308]


def columns(details: object) -> dict[str, object]:
    return {**dict.fromkeys(("before", "target"), None), **SAID, "details": details}


@pytest.mark.parametrize("cents", LARGE)
def test_a_large_number_that_the_server_gives_back_in_its_digits_is_the_same(
    superuser: psycopg.Connection, cents: float
):
    details = {"of": [{"cents": cents}]}
    stored = canonical({**SAID, "details": details})
    row = superuser.execute(
        "SELECT convert_from(%s, 'UTF8')::jsonb -> 'details'", (stored,)
    ).fetchone()
    assert row is not None
    assert unfaithful_column(stored, columns(row[0])) is None


@given(st.floats(min_value=2.0**53, allow_infinity=False), st.sampled_from([-1, 1]))
def test_a_large_number_that_was_changed_by_one_is_found(cents: float, by: int):
    stored = canonical({**SAID, "details": {"cents": cents}})
    said = json.loads(stored, parse_float=lambda text: int(float(text)))
    digits = int(said["details"]["cents"])
    edited = columns({"cents": digits + by})
    assert unfaithful_column(stored, edited) == "details"


@pytest.mark.parametrize("cents", [10**400, 2**1024, -(2**1024)])
def test_a_number_that_no_double_comes_near_is_found(cents: int):
    stored = canonical({**SAID, "details": {"cents": 1e16}})
    assert unfaithful_column(stored, columns({"cents": cents})) == "details"
