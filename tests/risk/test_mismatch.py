from __future__ import annotations

import pytest

from authkit.errors import InvalidInput
from authkit.risk import (
    LEVELS,
    Features,
    Histories,
    Login,
    Mismatch,
    features,
    model,
    score,
)

HOME = features("240.0.0.1", 64512, "NO", "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0")
AWAY = features("240.9.0.1", 64600, "BR", "curl/8.16.0")


def past(*logins: Features) -> Histories:
    histories = Histories()
    for number, login in enumerate(logins):
        histories.learn("ada", number, login)
    return histories


def test_a_login_like_the_last_one_scores_zero():
    assert Mismatch().score(HOME, past(HOME).of("ada", 9)).value == 0.0


def test_a_login_with_nothing_in_common_scores_one():
    made = Mismatch().score(AWAY, past(HOME).of("ada", 9))
    assert made.value == pytest.approx(1.0)
    assert [term.seen for term in made.terms] == [0] * len(LEVELS)


def test_a_user_without_history_is_unscored_and_never_low():
    made = Mismatch().score(HOME, past(HOME).of("bo", 9))
    assert (made.value, made.unscored, made.n, made.total) == (None, "no_history", 0, 1)


def test_a_login_of_which_nothing_is_known_is_unscored():
    nothing = Features(*[None] * len(LEVELS))
    made = Mismatch().score(nothing, past(HOME).of("ada", 9))
    assert (made.value, made.unscored) == (None, "nothing_known")


def test_terms_add_up_to_the_score_and_say_what_was_seen():
    moved = HOME._replace(ip="240.0.0.2")
    made = Mismatch().score(moved, past(HOME, HOME).of("ada", 9))
    assert made.value == pytest.approx(sum(t.contribution for t in made.terms))
    assert made.value == pytest.approx(1 / 6)
    assert {t.level: t.seen for t in made.terms}["asn"] == 2


def test_an_unknown_level_is_left_out_and_the_rest_scaled_up():
    made = Mismatch().score(
        AWAY._replace(user_agent=None, browser=None, system=None, device=None),
        past(HOME).of("ada", 9),
    )
    assert made.value == pytest.approx(1.0)
    assert {term.level for term in made.terms} == {"ip", "asn", "country"}


def test_what_is_kept_with_a_score_repeats_it():
    made = Mismatch().score(AWAY, past(HOME).of("ada", 9))
    kept = made.as_features()
    assert (kept["n"], kept["N"]) == (1, 1)
    assert kept["parameters"] == Mismatch().parameters
    terms = kept["terms"]
    assert isinstance(terms, list)
    assert sum(term["term"] for term in terms) == made.value


def test_other_weights_have_another_fingerprint():
    other = Mismatch(weights=(("ip", 1.0),))
    assert other.parameters != Mismatch().parameters
    assert other.score(AWAY, past(HOME).of("ada", 9)).value == 1.0


def test_score_takes_an_observed_login_and_a_model_by_name():
    login = Login(9, "ada", "240.0.0.1", 64512, "NO", HOME.user_agent, True)
    assert score(login, past(HOME).of("ada", 9), by="mismatch").value == 0.0


@pytest.mark.parametrize(
    ("name", "version"), [("oracle", None), ("mismatch", "0"), ("", None)]
)
def test_an_unknown_model_or_version_is_named(name: str, version: str | None):
    with pytest.raises(InvalidInput, match="risk model"):
        model(name, version)
