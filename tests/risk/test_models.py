"""What every model of the registry must do."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.risk import MODELS, Features, Histories, features, model
from authkit.risk.evidence import gather, restored

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "curl/8.16.0",
    None,
)
logins = st.builds(
    features,
    st.sampled_from(("240.0.0.1", "240.0.0.2", "241.0.0.1", None)),
    st.sampled_from((64512, 64513, None)),
    st.sampled_from(("NO", "SE", None)),
    st.sampled_from(AGENTS),
)
Story = list[tuple[str, Features]]
stories = st.lists(st.tuples(st.sampled_from("abc"), logins), max_size=30)


@pytest.mark.parametrize("name", sorted(MODELS))
@given(story=stories, login=logins)
def test_a_kept_score_replays_bit_for_bit(name: str, story: Story, login: Features):
    histories = Histories()
    for at, (who, seen) in enumerate(story):
        histories.learn(who, at, seen)
    scorer = MODELS[name]
    score = scorer.score(login, histories.of("a", 100))
    kept = json.loads(json.dumps(score.as_features()))
    again = scorer.judge(restored(kept))
    assert (again.value, again.terms) == (score.value, score.terms)
    assert kept["parameters"] == scorer.parameters


@given(story=stories)
def test_after_everything_has_aged_nothing_is_left_of_any_count(story: Story):
    histories = Histories()
    for at, (who, seen) in enumerate(story):
        histories.learn(who, at, seen)
    for who in "abc":
        left = histories.of(who, 10**18)
    assert (left.n, left.total) == (0, 0)
    assert not any(left.everybody.values())
    assert not any(left.distinct.values())
    assert not any(left.under.values())


def test_an_address_that_moves_to_another_network_has_been_under_both():
    histories = Histories()
    for at, asn in enumerate((64512, 64513)):
        histories.learn("a", at, features("240.0.0.1", asn, "NO", None))
    seen = features("240.0.0.1", 64512, "NO", None)
    counts = gather(seen, histories.of("a", 9)).by_level()
    assert (counts["asn"].under, counts["country"].under) == (2, 1)


def test_an_unknown_model_or_version_is_named():
    with pytest.raises(InvalidInput, match="no risk model 'oracle'"):
        model("oracle")
    with pytest.raises(InvalidInput, match="version"):
        model("mismatch", "99")


def test_what_is_no_evidence_is_refused():
    with pytest.raises(InvalidInput, match="no evidence"):
        restored({"n": 3})


@pytest.mark.parametrize("name", sorted(MODELS))
@given(story=stories, login=logins)
def test_a_score_shows_each_of_its_terms_in_a_notebook(
    name: str, story: Story, login: Features
):
    histories = Histories()
    for at, (who, seen) in enumerate(story):
        histories.learn(who, at, seen)
    score = MODELS[name].score(login, histories.of("a", 100))
    page = score._repr_html_()
    assert page.count("<tr>") == (len(score.terms) + 1 if score.terms else 0)
    assert ("unscored" in page) == (score.value is None)
    for offset, width in re.findall(r"margin-left:(.*?)%;width:max\(1px,(.*?)%", page):
        assert 0 <= float(offset) <= float(offset) + float(width) <= 100.2
