from __future__ import annotations

import json
import math

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from authkit.harness.histogram import (
    HIGHEST_NS,
    Histogram,
    highest_in,
    index_of,
    merged,
)

durations = st.lists(st.integers(min_value=0, max_value=HIGHEST_NS), max_size=200)
PERCENTS = (0.0, 1.0, 50.0, 95.0, 99.0, 99.9, 100.0)


def of(values: list[int]) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


@given(st.integers(min_value=0, max_value=HIGHEST_NS))
def test_a_bucket_is_at_most_a_thousandth_wide(value: int):
    assert value <= highest_in(index_of(value)) <= value * 1.001


@given(durations, durations)
def test_merging_is_the_same_as_recording_everything_in_one(
    one: list[int], other: list[int]
):
    assert merged([of(one), of(other)]) == of(one + other)


@given(durations.filter(bool))
def test_a_percentile_is_the_bucket_of_the_nearest_rank(values: list[int]):
    histogram = of(values)
    ordered = sorted(values)
    expected = [
        min(
            highest_in(index_of(ordered[max(1, math.ceil(p * len(values) / 100)) - 1])),
            ordered[-1],
        )
        for p in PERCENTS
    ]
    assert histogram.percentiles_ns(PERCENTS) == expected


@given(durations)
def test_the_library_reads_the_same_counts(values: list[int]):
    decoded = HdrHistogram.decode(of(values).encode())
    assert decoded.get_total_count() == len(values)
    for value in values:
        assert decoded.get_count_at_value(value) == of(values).counts[index_of(value)]


@given(durations)
def test_json_gives_back_the_same_histogram(values: list[int]):
    form = json.loads(json.dumps(of(values).as_dict()))
    assert Histogram.from_dict(form) == of(values)


def test_an_empty_histogram_has_no_percentile_and_no_mean():
    empty = Histogram()
    assert (empty.percentile_ns(50), empty.mean_ns, empty.count) == (None, None, 0)


@pytest.mark.parametrize(("value", "kept"), [(-5, 0), (HIGHEST_NS * 2, HIGHEST_NS)])
def test_values_out_of_range_count_at_its_ends(value: int, kept: int):
    assert of([value]).max_ns == kept


def test_the_share_above_a_bound_counts_whole_buckets():
    assert of([1_000, 2_000, 3_000, 4_000]).share_above(2_000) == 0.5
