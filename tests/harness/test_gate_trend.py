"""The history of costs: what changed, and when; what cannot be read is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from math import inf
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.harness.gate import segments, trend
from authkit.harness.gate.trend import Point, change_points

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def series(*values: float) -> list[Point]:
    return [
        Point(BEGAN + timedelta(days=day), f"c{day}", value)
        for day, value in enumerate(values)
    ]


def noisy(mean: float, count: int, seed: int) -> list[float]:
    return list(mean * (1 + 0.01 * np.random.default_rng(seed).normal(size=count)))


def test_a_step_is_found_where_it_was_made():
    (found,) = change_points(series(*noisy(100, 20, 1), *noisy(108, 20, 2)))
    assert found.at.revision == "c20"
    assert found.ratio == pytest.approx(1.08, abs=0.01)


@pytest.mark.parametrize("seed", range(10))
def test_noise_alone_is_no_change(seed: int):
    assert change_points(series(*noisy(100, 60, seed))) == ()


def test_exact_counters_that_never_move_have_no_change_and_one_that_did_has_one():
    assert change_points(series(*[3.0] * 30)) == ()
    (found,) = change_points(series(*[3.0] * 15, *[5.0] * 15))
    assert (found.before, found.after) == pytest.approx((3.0, 5.0))


def test_a_counter_that_was_nothing_is_told_as_nothing_and_as_no_multiple_of_it(
    tmp_path: Path,
):
    runs = [
        {
            "started": (BEGAN + timedelta(days=day)).isoformat(),
            "revision": f"c{day}",
            "costs": {"sessions.list": {"wal_bytes": 48 * (day >= 4)}},
        }
        for day in range(8)
    ]
    lines = "".join(f"{json.dumps(run)}\n" for run in runs)
    (tmp_path / "bench gate.jsonl").write_text(lines)
    told = trend.terminal(trend.read(tmp_path))
    assert told[1] == "    2026-01-05 c4: 0 -> 48"


@given(
    st.lists(st.integers(-3, 3).map(float), min_size=segments.SHORTEST, max_size=9),
    st.sampled_from([0.3, 1.7, 5.1, 40.9]),
)
def test_no_other_split_costs_less(values: list[float], penalty: float):
    def cost(ends: tuple[int, ...]) -> float:
        parts = [values[a:b] for a, b in pairwise((0, *ends))]
        if min(map(len, parts)) < segments.SHORTEST:
            return inf
        within = sum(sum((x - fmean(part)) ** 2 for x in part) for part in parts)
        return within + penalty * (len(parts) - 1)

    inner = range(1, len(values))
    every = (
        (*cuts, len(values))
        for many in range(len(values))
        for cuts in combinations(inner, many)
    )
    found = cost(tuple(segments.ends(values, penalty)))
    assert found == pytest.approx(min(map(cost, every)), abs=1e-9)


def test_damaged_lines_are_named_and_the_others_are_drawn(tmp_path: Path):
    runs = [
        {
            "started": (BEGAN + timedelta(days=day)).isoformat(),
            "revision": f"<{day}>",
            "costs": {"sessions.list": {"blocks": 3 + 2 * (day > 5), "wal_bytes": 0}},
            "benchmarks": [
                {"benchmark": "sessions.list", "verdict": "pass", "ratio": 1.0},
                {"benchmark": "sessions.touch", "verdict": "invalid", "ratio": 9.0},
            ],
        }
        for day in range(12)
    ]
    lines = [json.dumps(run) for run in runs]
    lines[3:3] = ["{broken", '{"started": "x"}', "[]"]
    text = ("\n".join(lines) + "\n").encode() + b'{"started": "\xff\xfe"}\n'
    (tmp_path / "bench gate.jsonl").write_bytes(text)
    found = trend.read(tmp_path)
    assert [what.partition(" is")[0] for what in found.damaged] == [
        f"bench gate.jsonl: line {number}" for number in (4, 5, 6, 16)
    ]
    by_name = {one.name: one for one in found.series}
    assert "sessions.touch to its base" not in by_name
    (change,) = by_name["sessions.list blocks"].changes
    assert change.at.revision == "<6>"
    shown = "\n".join(trend.terminal(found))
    assert "3 -> 5" in shown
    assert "line 4 is no run" in shown
    page = trend.html(found)
    assert "&lt;6&gt;" in page
    assert "<6>" not in page
    assert "http" not in page
    assert "runs: 12, from " in page


def test_a_series_of_one_run_is_a_dot_and_one_that_never_changed_a_line_in_the_middle(
    tmp_path: Path,
):
    run = {"started": "2026-01-01T00:00:00+00:00", "revision": "a"}
    lines = [
        json.dumps({**run, "costs": {"old": {"blocks": 3}}}),
        json.dumps({**run, "costs": {"old": {"blocks": 3}, "new": {"blocks": 9}}}),
    ]
    (tmp_path / "bench gate.jsonl").write_text("\n".join(lines) + "\n")
    page = trend.html(trend.read(tmp_path))
    assert "<polyline points='5.0,45.0 595.0,45.0' />" in page
    assert "<polyline points='5.0,45.0' /><path d='M5.0,45.0h0' />" in page


def test_a_folder_without_a_history_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="holds no history"):
        trend.read(tmp_path)


def test_a_history_without_a_run_says_so(tmp_path: Path):
    (tmp_path / "bench gate.jsonl").touch()
    found = trend.read(tmp_path)
    assert trend.terminal(found)[-1] == "no run is in this history yet"
    assert "<p>no run is in this history yet</p>" in trend.html(found)


def test_a_load_run_is_a_point_unless_it_proved_nothing(tmp_path: Path):
    runs = [
        {
            "command": "load",
            "authkit": "0.1.0",
            "profile": "session-read",
            "valid": valid,
            "started": (BEGAN + timedelta(days=day)).isoformat(),
            "figures": [
                {"name": "response_p99_ms", "value": 2.5, "unit": "ms"},
                {"name": "service_p99_ms", "value": None, "unit": "ms"},
                {"name": "errors", "value": 0, "unit": ""},
            ],
        }
        for day, valid in enumerate((True, False, True))
    ]
    text = "\n".join(json.dumps(run) for run in runs)
    (tmp_path / "load.jsonl").write_text(f"{text}\n")
    (one,) = trend.read(tmp_path).series
    assert one.name == "load session-read: response p99 ms"
    assert [point.started.day for point in one.points] == [1, 3]


def test_the_recorded_history_can_be_read_whole():
    found = trend.read(trend.recorded())
    assert found.damaged == ()
    assert any(one.name.endswith(" blocks") for one in found.series)
    assert any(one.name.startswith("load ") for one in found.series)
