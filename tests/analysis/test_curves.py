from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.analysis import plots
from authkit.analysis.curves import MOST_POINTS, area, caught_at, curve, thinned
from authkit.errors import InvalidInput

SCORES = st.lists(
    st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({attack for _, attack in rows}) == 2)


def frame(rows: list[tuple[int, bool]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"score": [float(s) for s, _ in rows], "attack": [a for _, a in rows]}
    )


@given(SCORES)
def test_the_area_is_how_often_an_attack_scores_above_a_login(
    rows: list[tuple[int, bool]],
):
    attacks = [s for s, attack in rows if attack]
    logins = [s for s, attack in rows if not attack]
    wins = sum((a > b) + (a == b) / 2 for a in attacks for b in logins)
    expected = wins / len(attacks) / len(logins)
    assert area(curve(frame(rows))) == pytest.approx(expected, abs=1e-12)


@given(SCORES)
def test_each_line_catches_and_asks_what_lies_above_it(rows: list[tuple[int, bool]]):
    made = frame(rows)
    for point in curve(made).iloc[1:].itertuples():
        above = made[made["score"] >= point.line]
        attacks = made["attack"].sum()
        assert point.caught == pytest.approx(above["attack"].sum() / attacks)
        asked = (~above["attack"]).sum() / (len(made) - attacks)
        assert point.asked == pytest.approx(asked)


def test_what_is_caught_is_exact_however_few_of_many_are_asked():
    honest, attacks = np.arange(100_000.0), np.arange(99_900.5, 100_000.0)
    made = pd.DataFrame(
        {
            "score": np.concatenate((honest, attacks)),
            "attack": np.arange(100_100) >= 100_000,
        }
    )
    points = curve(made)
    for asked in (0.0001, 0.0005, 0.0007):
        spared = honest[-1 - round(asked * 100_000)]
        assert caught_at(points, asked) == (attacks > spared).mean()


def test_five_of_a_hundred_are_five_percent():
    scores = [(9, False)] * 5 + [(5, True)] * 3 + [(1, False)] * 95
    assert caught_at(curve(frame(scores)), 0.05) == 1.0


def test_a_long_curve_is_thinned_to_be_drawn_and_keeps_its_ends():
    made = pd.DataFrame(
        {"score": range(5000), "attack": [n % 3 == 0 for n in range(5000)]}
    )
    points, whole = thinned(curve(made)), curve(made)
    assert len(points) <= MOST_POINTS
    assert points.iloc[[0, -1]].equals(whole.iloc[[0, -1]])


def test_a_thinned_curve_is_as_whole_at_its_strict_end_as_elsewhere():
    source = np.random.default_rng(1)
    honest, attacks = source.normal(0, 1, 200_000), source.normal(3.5, 1, 400)
    made = pd.DataFrame(
        {
            "score": np.concatenate((honest, attacks)),
            "attack": np.arange(200_400) >= 200_000,
        }
    )
    whole = curve(made)
    points = thinned(whole)
    for asked in np.geomspace(1e-5, 1.0, 100):
        assert caught_at(points, asked) == pytest.approx(
            caught_at(whole, asked), abs=0.02
        )


def test_what_has_no_curve_is_one_sentence():
    honest = frame([(1, False), (2, False)])
    with pytest.raises(InvalidInput, match="needs scored attacks"):
        curve(honest)
    with pytest.raises(InvalidInput, match="form is none of"):
        plots.score_curves(frame([(1, True), (0, False)]), form="pie")  # type: ignore[arg-type] # on purpose
    with pytest.raises(InvalidInput, match="one to 6 models"):
        plots.score_curves({})


def test_a_frame_without_the_truth_is_told_what_it_lacks():
    with pytest.raises(InvalidInput, match="lacks attack"):
        plots.score_curves(pd.DataFrame({"score": [1.0]}))
