"""Cases computed by hand from equation 7, as fractions."""

from __future__ import annotations

from fractions import Fraction
from math import log

import pytest

from authkit.risk import Freeman2016
from authkit.risk.evidence import Count, Evidence

q = Fraction
MODEL = Freeman2016()
W_IP, W_ASN, W_COUNTRY = q(6, 10), q(3, 10), q(1, 10)


def address(
    n: int, ip: tuple[int, int], asn: tuple[int, int], country: tuple[int, int]
) -> Evidence:
    """Of 1,000 logins by 20 users over 8 networks in 5 countries; no browser."""
    return Evidence(
        n,
        1000,
        20,
        (
            Count("ip", *ip, distinct=300),
            Count("asn", *asn, distinct=8, under=1 if ip[1] else 0),
            Count("country", *country, distinct=5, under=1 if ip[1] else 0),
        ),
    )


def test_a_login_from_home_as_equation_7_has_it():
    # M = 1 + 8 + 5, m = 1 + 1 + 1
    everybody = W_IP * q(30, 1014) * q(30, 33) + W_ASN * q(200, 1000)
    everybody += W_COUNTRY * q(600, 1000)
    own = W_IP * q(8, 10) + W_ASN * q(9, 10) + W_COUNTRY * q(10, 10)
    expected = everybody / own * q(1000, 10 * 20)
    score = MODEL.judge(address(10, (8, 30), (9, 200), (10, 600)))
    assert score.value == pytest.approx(float(expected), rel=1e-14)
    assert sum(t.contribution for t in score.terms) == pytest.approx(log(expected))


def test_an_address_that_nobody_had_weighs_one_in_all_logins_and_networks():
    everybody = W_IP * q(1, 1014) + W_ASN * q(200, 1000) + W_COUNTRY * q(600, 1000)
    own = W_ASN * q(9, 10) + W_COUNTRY * q(10, 10)
    expected = everybody / own * q(1000, 10 * 20)
    score = MODEL.judge(address(10, (0, 0), (9, 200), (10, 600)))
    assert score.value == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize("n", [1, 10, 500])
def test_of_a_feature_that_was_never_seen_the_ratio_is_four_whatever_the_history(
    n: int,
):
    score = MODEL.judge(address(n, (0, 30), (0, 200), (0, 600)))
    assert score.value == pytest.approx(4 * 1000 / (n * 20), rel=1e-14)


def test_having_seen_a_country_once_can_score_worse_than_never():
    never = MODEL.judge(address(100, (0, 0), (0, 200), (0, 600))).value
    once = MODEL.judge(address(100, (0, 0), (0, 200), (1, 600))).value
    assert never is not None
    assert once is not None
    assert once > never


def test_the_two_features_multiply():
    browser = (
        Count("user_agent", 5, 50, distinct=40),
        Count("browser", 5, 300, distinct=20, under=1),
        Count("system", 10, 500, distinct=9, under=1),
        Count("device", 10, 700, distinct=4, under=1),
    )
    # M = 1 + 20 + 9 + 4, m = 1 + 1 + 1 + 1
    w = [
        q(53867, 100000),
        q(26805, 100000),
        q(18818, 100000),
        q(511, 100000),
    ]
    weights = [x / sum(w) for x in w]
    everybody = weights[0] * q(50, 1034) * q(50, 54) + weights[1] * q(300, 1000)
    everybody += weights[2] * q(500, 1000) + weights[3] * q(700, 1000)
    own = weights[0] * q(5, 10) + weights[1] * q(5, 10) + weights[2] + weights[3]
    home = address(10, (8, 30), (9, 200), (10, 600))
    one = MODEL.judge(home).value
    both = MODEL.judge(home._replace(counts=(*home.counts, *browser))).value
    assert one is not None
    assert both == pytest.approx(float(q(everybody) / own) * one, rel=1e-14)


def test_a_level_that_is_not_known_is_left_out():
    evidence = Evidence(10, 1000, 20, (Count("country", 5, 600, distinct=5),))
    expected = q(600, 1000) / q(5, 10) * q(1000, 10 * 20)
    assert MODEL.judge(evidence).value == pytest.approx(float(expected), rel=1e-14)


def test_without_a_history_or_without_anything_known_it_is_unscored():
    empty = MODEL.judge(address(0, (0, 30), (0, 200), (0, 600)))
    assert (empty.value, empty.unscored) == (None, "no_history")
    blind = MODEL.judge(Evidence(3, 1000, 20, ()))
    assert (blind.value, blind.unscored) == (None, "nothing_known")
