from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.hot import inputs


@pytest.mark.parametrize("given", ["192.0.2.1/8", "2001:db8::1/64"])
def test_the_address_of_an_interface_goes_without_its_network(given):
    assert inputs.address(ip_interface(given)) == given.partition("/")[0]


def test_an_ipv4_mapped_address_is_the_ipv4_address():
    assert inputs.address("::ffff:192.0.2.1") == "192.0.2.1"
    assert inputs.address(ip_address("::ffff:c000:201")) == "192.0.2.1"


def test_one_address_has_one_writing():
    assert inputs.address("2001:DB8:0::1") == "2001:db8::1"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "1.2.3",
        "1.2.3.04",
        "1.2.3.4/8",
        "fe80::1%eth0",
        "1" * 5000,
        "1.2.3.4\x00",
    ],
)
def test_what_is_no_address_is_refused(value: str):
    with pytest.raises(InvalidInput):
        inputs.address(value)


@given(st.ip_addresses())
def test_every_address_is_accepted_and_stable(value):
    once = inputs.address(value)
    assert inputs.address(once) == inputs.address(str(value)) == once


def test_a_long_user_agent_is_cut_so_that_its_owner_can_log_in():
    assert inputs.user_agent("x" * 4096) == "x" * 512


def test_an_empty_user_agent_is_none():
    assert inputs.user_agent("") is None
    assert inputs.user_agent(None) is None


@pytest.mark.parametrize("value", ["a\x00b", "a\ud800b"])
def test_text_that_postgresql_cannot_store_is_refused(value: str):
    with pytest.raises(InvalidInput) as caught:
        inputs.user_agent(value)
    assert value not in str(caught.value)
    with pytest.raises(InvalidInput):
        inputs.text(value, "name", limit=100)


@pytest.mark.parametrize(
    "value", [timedelta(0), timedelta(seconds=-1), timedelta(days=40_000)]
)
def test_a_span_is_positive_and_at_most_a_century(value):
    with pytest.raises(InvalidInput):
        inputs.span(value, "lifetime")


def test_zero_is_a_span_only_where_it_means_something():
    assert inputs.span(timedelta(0), "grace", zero=True) == timedelta(0)


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(InvalidInput, match="no time zone"):
        inputs.moment(datetime(2026, 1, 1), "start")  # noqa: DTZ001 # the point


@pytest.mark.parametrize("value", [0, 101, True, 1.0])
def test_a_count_is_a_whole_number_within_its_bounds(value):
    with pytest.raises(InvalidInput):
        inputs.count(value, "limit", low=1, high=100)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "high"])
def test_a_risk_score_is_a_finite_number(value):
    with pytest.raises(InvalidInput):
        inputs.risk_score(value)


def test_labels_lose_repetitions_and_keep_their_order():
    assert inputs.labels(["pwd", "otp", "pwd"], "method", limit=5, chars=9) == [
        "pwd",
        "otp",
    ]


@pytest.mark.parametrize("value", [b"", b"x" * 31, b"x" * 33])
def test_a_device_fingerprint_is_a_keyed_hash(value):
    with pytest.raises(InvalidInput):
        inputs.fingerprint(value)
