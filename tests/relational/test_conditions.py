from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.relational import conditions

USER = UUID("01900000-0000-7000-8000-000000000001")
MONDAY_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def holds(rule, *, now=MONDAY_NOON, **context) -> bool:
    return conditions.holds(rule, user=USER, context=context, now=now)


def test_no_condition_always_holds():
    assert holds({})


def test_equality_compares_value_and_kind():
    assert holds({"equals": {"region": "eu"}}, region="eu")
    assert not holds({"equals": {"region": "eu"}}, region="us")
    assert not holds({"equals": {"flag": True}}, flag=1)


def test_an_attribute_that_the_request_lacks_never_matches():
    assert not holds({"equals": {"region": None}})
    assert not holds({"in": {"tier": ["gold"]}})
    assert not holds({"owner": "author"})


def test_membership_needs_one_of_the_values():
    rule = {"in": {"tier": ["gold", "silver"]}}
    assert holds(rule, tier="silver")
    assert not holds(rule, tier="bronze")


def test_the_owner_is_the_user_who_asks():
    assert holds({"owner": "author"}, author=USER)
    assert holds({"owner": "author"}, author=str(USER))
    assert not holds({"owner": "author"}, author=UUID(int=5))


def test_every_condition_must_hold():
    rule = {"equals": {"region": "eu"}, "owner": "author"}
    assert holds(rule, region="eu", author=USER)
    assert not holds(rule, region="us", author=USER)


@pytest.mark.parametrize(
    ("minutes", "inside"), [(-241, False), (-240, True), (359, True), (360, False)]
)
def test_a_window_includes_its_start_and_excludes_its_end(minutes, inside):
    rule = {"window": {"start": "08:00", "end": "18:00"}}
    assert holds(rule, now=MONDAY_NOON + timedelta(minutes=minutes)) is inside


def test_a_window_across_midnight_belongs_to_the_day_it_started_on():
    rule = {"window": {"start": "22:00", "end": "06:00", "days": [1]}}
    assert holds(rule, now=datetime(2026, 11, 23, 23, tzinfo=UTC))
    assert holds(rule, now=datetime(2026, 11, 24, 5, tzinfo=UTC))
    assert not holds(rule, now=datetime(2026, 11, 24, 23, tzinfo=UTC))
    assert not holds(rule, now=datetime(2026, 11, 23, 5, tzinfo=UTC))


def test_a_window_is_read_in_its_own_zone():
    rule = {"window": {"start": "08:00", "end": "09:00", "zone": "America/New_York"}}
    assert holds(rule, now=datetime(2026, 11, 23, 13, 30, tzinfo=UTC))
    assert not holds(rule, now=datetime(2026, 11, 23, 8, 30, tzinfo=UTC))


MALFORMED = [
    {"like": {"a": "b%"}},
    {"equals": "x"},
    {"equals": {"a": {"b": 1}}},
    {"in": {"a": "xyz"}},
    {"in": {"a": [[1]]}},
    {"equals": {"a": 2**60}},
    {"in": {"a": [1e16]}},
    {"equals": {1: "x"}},
    {"owner": 3},
    {"owner": ""},
    {"window": {"start": "8 am", "end": "18:00"}},
    {"window": {"start": "08:00"}},
    {"window": {"start": "08:00", "end": "09:00", "zone": "Nowhere/Else"}},
    {"window": {"start": "08:00", "end": "09:00", "days": [0]}},
    {"window": {"start": "08:00", "end": "09:00", "colour": "red"}},
]


@pytest.mark.parametrize("rule", MALFORMED, ids=str)
def test_a_malformed_condition_is_refused_when_written(rule):
    with pytest.raises(InvalidInput):
        conditions.parse(rule)


@pytest.mark.parametrize("rule", MALFORMED, ids=str)
def test_a_malformed_condition_that_got_stored_grants_nothing(rule):
    assert not holds(rule, a="x")


@given(
    st.dictionaries(
        st.sampled_from(["equals", "in", "owner", "window", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        min_size=1,
    )
)
def test_no_condition_from_a_context_without_attributes_ever_crashes(rule):
    assert holds(rule) in (True, False)
