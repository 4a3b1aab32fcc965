"""Tails: judged by themselves, and what a queue of the generator's own making says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from authkit.harness.gate import tails
from authkit.harness.gate.statistics import Estimate, estimate
from authkit.harness.gate.tails import Tail
from authkit.harness.gate.verdicts import Verdict

EVEN = Tail("a", Estimate(0.0, 0.1), Estimate(0.0, 0.1), 900.0, 0.35, 5.0)


@pytest.mark.parametrize(
    ("tail", "verdict", "why"),
    [
        (EVEN, Verdict.PASS, ""),
        (replace(EVEN, change=Estimate(math.log(2.5), 0.1)), Verdict.REGRESSION, ""),
        (replace(EVEN, change=Estimate(0.2, 1.0)), Verdict.INCONCLUSIVE, "too uneven"),
        (replace(EVEN, control=Estimate(-1.0, 0.1)), Verdict.INVALID, "control is off"),
        (replace(EVEN, busy=0.8), Verdict.INVALID, "generator saturated"),
    ],
)
def test_a_tail_is_judged_apart(tail: Tail, verdict: Verdict, why: str):
    (found,) = tails.judge([tail])
    assert found.verdict is verdict
    assert why in found.why


def test_a_longer_tail_is_seen_where_the_median_is_the_same():
    source = np.random.default_rng(1)

    def drawn(late: float) -> np.ndarray:
        times = 100 + 5 * source.exponential(size=(6, 4, 300))
        slow = source.random(times.shape) < 0.03
        return times + slow * late * source.exponential(size=times.shape)

    before, after = drawn(100), drawn(600)
    assert estimate(before, after, 0.5).ratio == pytest.approx(1.0, abs=0.01)
    longer = replace(EVEN, change=estimate(before, after, tails.QUANTILE))
    (found,) = tails.judge([longer])
    assert found.verdict is Verdict.REGRESSION
