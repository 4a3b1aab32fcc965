from __future__ import annotations

from math import exp, log

import pytest

from authkit.risk import Hdir
from authkit.risk.evidence import Count, Evidence
from authkit.risk.features import HOURS, MOVED, NETWORK, PREFIX
from authkit.risk.models.hdir import ACTIVITY, EVEN, HOUR

BETAS = (("country", 2.0), (NETWORK, 3.0), ("ip", 4.0))
MODEL = Hdir(BETAS, parts=(), copied=0.0)


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


HOME = evidence(10, 10, 9, 8)


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
    plain, active = (
        MODEL.judge(given),
        Hdir(BETAS, parts=(ACTIVITY,), copied=0.0).judge(given),
    )
    assert plain.value is not None
    assert active.value == pytest.approx(plain.value + log(1000 / (10 * 20)))
    assert plain.parameters != active.parameters


def on_a_line(moved: int, seen: int) -> Evidence:
    """Of ten logins in the network, so many were from an address that was new then."""
    given = evidence(10, 10, 10, seen)
    return given._replace(counts=(*given.counts, Count(MOVED, moved, 60, distinct=8)))


def test_a_new_address_says_little_on_a_line_that_often_takes_one():
    model = Hdir((*BETAS, (MOVED, 2.0)), parts=(MOVED,), copied=0.0)
    rate = 61 / 202
    for moved in (1, 4, 10):
        new = model.judge(on_a_line(moved, 0)).terms[-1].contribution
        escape = (moved - 1 + 2 * rate) / (9 + 2)
        assert new == pytest.approx(-log(escape))
        g = 11 / 501
        old = model.judge(on_a_line(moved, 3)).terms[-1].contribution
        assert old == pytest.approx(log(g / ((1 - escape) * 3 / 10 + escape * g)))
        assert new > old


def test_what_lies_in_an_unseen_prefix_says_nothing_more_of_the_address():
    model = Hdir((*BETAS, (PREFIX, 1.0), (MOVED, 2.0)), (PREFIX, MOVED), 0.0)
    given = on_a_line(4, 0)
    given = given._replace(counts=(*given.counts, Count(PREFIX, 0, 50, distinct=40)))
    terms = {term.level: term.contribution for term in model.judge(given).terms}
    assert terms[PREFIX] == pytest.approx(log((10 + 1) / 1))
    assert terms["ip"] == pytest.approx(0)


def test_an_hour_at_which_the_user_never_comes_says_more_the_longer_the_history():
    model = Hdir((*BETAS, (HOUR, 5.0)), parts=(HOUR,), copied=0.0)
    said: list[float] = []
    for n, own in ((4, 0), (40, 0), (40, 20)):
        given = evidence(n, n, n, n)
        windows = tuple(Count(name, own, 300, distinct=6) for name in HOURS)
        term = model.judge(given._replace(counts=(*given.counts, *windows))).terms[-1]
        g = (300 + EVEN) / 1001
        assert term.contribution == pytest.approx(log(EVEN * (n + 5) / (own + 5 * g)))
        said.append(term.contribution)
    assert said[1] > said[0] > said[2]


def test_a_match_takes_away_no_more_than_a_copy_would_allow():
    proof = {term.level: term.contribution for term in MODEL.judge(HOME).terms}
    for copied in (0.1, 0.5, 0.9):
        for term in Hdir(BETAS, parts=(), copied=copied).judge(HOME).terms:
            ratio = exp(proof[term.level])
            expected = log((1 - copied) * ratio + copied)
            assert term.contribution == pytest.approx(expected)
            assert term.contribution >= log(copied)
