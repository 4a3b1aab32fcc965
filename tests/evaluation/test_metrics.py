from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.evaluation import metrics

scores = st.lists(st.integers(0, 9), min_size=1, max_size=30).map(
    lambda values: np.array(values, dtype=np.float64)
)


@given(attacks=scores, legitimate=scores)
def test_the_area_is_the_probability_that_an_attack_scores_above_a_login(
    attacks, legitimate
):
    wins = [(a > b) + (a == b) / 2 for a in attacks for b in legitimate]
    assert metrics.auc(attacks, legitimate) == pytest.approx(np.mean(wins))


@given(attacks=scores, legitimate=scores)
def test_the_partial_area_up_to_every_rate_is_the_whole(attacks, legitimate):
    whole = metrics.partial_auc(attacks, legitimate, 1.0)
    assert whole == pytest.approx(metrics.auc(attacks, legitimate))


def test_the_rate_of_hits_is_read_off_the_curve_and_ties_are_split():
    attacks = np.array([3.0, 2.0, 2.0, 0.0])
    legitimate = np.array([2.0, 1.0, 1.0, 0.0])
    assert metrics.tpr_at(attacks, legitimate, 0.25) == 0.75
    assert metrics.tpr_at(attacks, legitimate, 0.125) == 0.5


@given(legitimate=scores, rate=st.floats(0.01, 0.99))
def test_no_more_logins_than_the_rate_lie_above_the_line(legitimate, rate):
    line = metrics.line_at(legitimate, rate)
    assert (legitimate > line).mean() <= rate
