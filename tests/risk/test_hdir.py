from __future__ import annotations

from math import log

import pytest

from authkit.risk import Hdir
from authkit.risk.evidence import Count, Evidence
from authkit.risk.features import NETWORK

BETAS = (("country", 2.0), (NETWORK, 3.0), ("ip", 4.0))
MODEL = Hdir(BETAS, activity=False)


def evidence(n: int, *seen: int) -> Evidence:
    """Of 1,000 logins, 600 in the country, 200 in the network, 10 at the address."""
    return Evidence(
        n,
        1000,
        20,
        (
            Count("country", seen[0], 600, distinct=5),
            Count(NETWORK, seen[1], 200, distinct=8),
            Count("ip", seen[2], 10, distinct=300),
        ),
    )


def test_a_login_from_home_from_the_country_down():
    country, network, ip = 601 / 1006, 201 / 609, 11 / 501
    expected = (
        log(country / ((10 + 2 * country) / 12))
        + log(network / ((9 + 3 * network) / 13))
        + log(ip / ((8 + 4 * ip) / 13))
    )
    assert MODEL.judge(evidence(10, 10, 9, 8)).value == pytest.approx(expected)


def test_what_was_never_seen_says_more_the_longer_the_history():
    for n in (1, 10, 500):
        value = MODEL.judge(evidence(n, 0, 0, 0)).value
        assert value == pytest.approx(log((n + 2) / 2))


def test_below_an_unseen_level_nothing_more_is_said():
    terms = MODEL.judge(evidence(10, 10, 0, 0)).terms
    assert terms[1].contribution == pytest.approx(log(13 / 3))
    assert terms[2].contribution == pytest.approx(0)


def test_the_activity_of_the_user_is_a_term_of_its_own():
    given = evidence(10, 10, 9, 8)
    plain, active = MODEL.judge(given), Hdir(BETAS).judge(given)
    assert plain.value is not None
    assert active.value == pytest.approx(plain.value + log(1000 / (10 * 20)))
    assert plain.parameters != active.parameters
