from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.risk import Features, Histories, Mismatch, PastOnly, features

DAY = 86_400_000_000
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36"


def call(scorer: PastOnly, at_us: int, ip: str = "240.0.0.1", **changed: object):
    facts: dict[str, object] = {
        "at_us": at_us,
        "user_id": "ada",
        "ip": ip,
        "asn": 64512,
        "country": "NO",
        "user_agent": CHROME,
        "completed": True,
    }
    return scorer(**{**facts, **changed})  # type: ignore[arg-type] # all given above


def test_a_login_is_scored_before_it_is_learned():
    scorer = PastOnly(Mismatch())
    first, second = call(scorer, 1), call(scorer, 2)
    assert first is not None
    assert first.value is None
    assert second is not None
    assert (second.value, second.n) == (0.0, 1)


NAN = float("nan")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"asn": NAN}, "autonomous system"),
        ({"asn": 64512.0}, "autonomous system"),
        ({"asn": "AS64512"}, "autonomous system"),
        ({"country": NAN}, "country"),
        ({"country": "Norway"}, "country"),
        ({"user_agent": NAN}, "user agent"),
        ({"user_agent": CHROME.encode()}, "user agent"),
        ({"ip": "fe80::1%eth0"}, "scope"),
        ({"ip": 3_221_225_985}, "address"),
        ({"at_us": 2.0}, "time"),
        ({"at_us": datetime(2026, 1, 1, tzinfo=UTC)}, "time"),
        ({"at_us": 1_767_225_600 * 10**9}, "time"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_never_taken_for_an_unseen_one(
    changed: dict[str, object], told: str
):
    scorer = PastOnly(Mismatch())
    call(scorer, 1)
    with pytest.raises(InvalidInput, match=told):
        call(scorer, **{"at_us": 2, **changed})  # type: ignore[arg-type] # meant
    after = call(scorer, 3)
    assert after is not None
    assert (after.value, after.n) == (0.0, 1)


def test_values_are_compared_in_the_form_that_a_database_keeps():
    scorer, long = PastOnly(Mismatch()), CHROME + "x" * 10_000
    call(scorer, 1, user_agent=long)
    again = call(scorer, 2, "::ffff:240.0.0.1", country="no", user_agent=long[:512])
    assert again is not None
    assert again.value == 0.0


def test_a_login_that_failed_teaches_nothing():
    scorer = PastOnly(Mismatch())
    call(scorer, 1)
    call(scorer, 2, ip="240.0.0.66", completed=False)
    again = call(scorer, 3, ip="240.0.0.66")
    assert again is not None
    assert again.value == pytest.approx(1 / 6)
    assert again.n == 1


def test_a_name_without_an_account_has_no_score():
    assert call(PastOnly(Mismatch()), 1, user_id=None) is None


def test_logins_out_of_order_are_refused():
    scorer = PastOnly(Mismatch())
    call(scorer, 5)
    with pytest.raises(InvalidInput, match="order of their time"):
        call(scorer, 4)


def test_an_address_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="IP address"):
        call(PastOnly(Mismatch()), 1, ip="300.1.1.1")


def test_an_ipv4_address_in_ipv6_writing_is_the_same_address():
    plain = features("240.0.0.1", None, None, None)
    assert features("::ffff:240.0.0.1", None, None, None) == plain


def test_what_is_older_than_the_horizon_is_forgotten():
    histories = Histories(timedelta(days=182))
    login = features("240.0.0.1", 64512, "NO", CHROME)
    histories.learn("ada", 0, login)
    histories.learn("ada", 100 * DAY, login)
    assert histories.of("ada", 182 * DAY).n == 2
    late = histories.of("ada", 183 * DAY)
    assert (late.n, late.total, late.seen("ip", "240.0.0.1")) == (1, 1, 1)
    gone = histories.of("ada", 400 * DAY)
    assert (gone.n, gone.total, dict(gone.user)) == (0, 0, {})


addresses = st.sampled_from(["240.0.0.1", "240.0.0.2", "2001:db8::1"])
logins = st.tuples(st.sampled_from("abc"), st.integers(0, 30), addresses)


@given(st.lists(logins, max_size=60))
def test_counts_equal_a_recount_of_the_logins_within_the_horizon(
    made: list[tuple[str, int, str]],
):
    made = sorted(made, key=lambda login: login[1])
    histories = Histories(timedelta(days=10))
    kept: list[tuple[str, int, Features]] = []
    for user, day, ip in made:
        login = features(ip, 64512, "NO", CHROME)
        histories.learn(user, day * DAY, login)
        kept.append((user, day, login))
    for user in "abc":
        history = histories.of(user, 30 * DAY)
        alive = [f for u, day, f in kept if u == user and day >= 20]
        assert history.n == len(alive)
        for ip in ("240.0.0.1", "240.0.0.2", "2001:db8::1"):
            assert history.seen("ip", ip) == sum(f.ip == ip for f in alive)
