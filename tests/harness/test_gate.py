"""Statistics and verdicts on drawn times, and the gate on two versions for real."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.harness.gate import verdicts
from authkit.harness.gate.statistics import (
    Comparison,
    Estimate,
    compare,
    geometric_mean,
    holm,
)
from authkit.harness.gate.verdicts import RULE, Measured, Verdict

PAIRS, BLOCKS, CALLS = 6, 24, 36


def drawn(seed: int, factor: float = 1.0, apart: float = 0.005) -> np.ndarray:
    """Draw times: a floor, a long tail, weather of a block, processes that differ."""
    source = np.random.default_rng(seed)
    weather = 1 + 0.2 * np.random.default_rng(7).random((PAIRS, BLOCKS, 1))
    process = 1 + apart * source.normal(size=(PAIRS, 1, 1))
    tail = 1 + 0.1 * source.exponential(size=(PAIRS, BLOCKS, CALLS))
    return 100_000 * factor * process * weather * tail


def measured(factor: float, *, seed: int = 2, control: float = 1.0) -> Measured:
    base = drawn(1)
    return Measured(
        "a",
        change=compare(base, drawn(seed, factor)),
        control=compare(base, drawn(3, control)),
        base_us=100,
        seconds=1,
    )


def certain(low: float, median: float, error: float = 0.001) -> Comparison:
    return Comparison(
        Estimate(math.log(low), error), Estimate(math.log(median), error), 40
    )


def test_a_known_slowdown_lies_within_its_interval():
    found = compare(drawn(1), drawn(2, 1.05))
    low, high = found.interval
    assert low < 1.05 < high
    assert high - low < 0.03


def test_processes_that_differ_widen_the_interval_however_many_blocks_there_are():
    alike, apart = (
        compare(drawn(1, apart=spread), drawn(2, apart=spread))
        for spread in (0.005, 0.05)
    )
    assert apart.low.error > 3 * alike.low.error
    assert apart.p_slower(0.015) > 0.001


def test_the_same_times_are_one_and_the_order_of_the_arguments_is_the_sign():
    there = compare(drawn(1), drawn(2, 1.2))
    back = compare(drawn(2, 1.2), drawn(1))
    assert there.median.log_ratio == pytest.approx(-back.median.log_ratio)
    same = compare(drawn(1), drawn(1))
    assert same.ratio == 1
    assert same.p_slower(0.02) > 0.99


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, Verdict.PASS), (0.8, Verdict.PASS), (1.05, Verdict.REGRESSION)],
)
def test_slower_regresses_and_the_same_or_faster_passes(
    factor: float, verdict: Verdict
):
    (found,) = verdicts.judge([measured(factor)])
    assert found.verdict is verdict


def test_one_statistic_alone_is_no_regression():
    one = replace(measured(1.0), change=certain(1.2, 1.0))
    other = replace(measured(1.0), change=certain(1.0, 1.2))
    assert {j.verdict for j in verdicts.judge([one, other])} == {Verdict.PASS}


def test_a_control_that_strays_makes_a_benchmark_invalid_whatever_it_says():
    (found,) = verdicts.judge([measured(1.5, control=1.1)])
    assert found.verdict is Verdict.INVALID


def test_what_could_not_have_been_seen_is_inconclusive():
    vague = replace(measured(1.0), change=certain(1.0, 1.0, error=0.1))
    (found,) = verdicts.judge([vague])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.detectable > RULE.detect


def test_false_alarms_on_drawn_times_stay_under_their_level():
    found = [
        verdicts.judge([measured(1.0, seed=100 + seed)])[0].verdict
        for seed in range(12)
    ]
    assert Verdict.REGRESSION not in found


def test_one_benchmark_is_judged_as_strictly_as_among_all_of_a_gate():
    alone, among = (
        verdicts.judge([measured(1.03)], among=count)[0] for count in (1, 12)
    )
    assert among.p == pytest.approx(min(1.0, 12 * alone.p))
    assert among.detectable > alone.detectable


def test_the_exit_code_says_regression_invalid_or_neither():
    good, bad = verdicts.judge([measured(1.0)]), verdicts.judge([measured(1.1)])
    invalid = verdicts.judge([measured(1.0, control=1.1)])
    assert verdicts.exit_code(good, faults=0, steal=0) == 0
    assert verdicts.exit_code(bad, faults=0, steal=0) == 1
    assert verdicts.exit_code(invalid, faults=0, steal=0) == 2
    assert verdicts.exit_code(bad, faults=0, steal=0.5) == 2
    assert verdicts.exit_code(invalid, faults=1, steal=0.5) == 1


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_is_between_the_p_value_and_bonferroni_and_keeps_the_order(
    p_values: list[float],
):
    adjusted = holm(p_values)
    for before, after in zip(p_values, adjusted, strict=True):
        assert before <= after <= min(1.0, before * len(p_values))
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    in_order = [adjusted[at] for at in ranked]
    assert in_order == sorted(in_order)


def test_the_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
    assert geometric_mean([]) == 1.0


def test_no_pass_is_begun_that_would_end_after_the_limit():
    rule = replace(RULE, looks=(2, 4, 8), limit_s=9.5)
    assert not rule.over(1, 4.7)
    assert rule.over(1, 4.8)
    assert not rule.over(7, 8.3)
    assert rule.over(7, 8.4)
    assert rule.over(8, 1.0)
