from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authkit.errors import InvalidInput
from authkit.figures import Report, figure
from authkit.harness import results

MADE = Report(
    "load",
    datetime(2026, 1, 1, tzinfo=UTC),
    3.0,
    (figure("service_p99_ms", 4.0, "ms"),),
    extra={"profile": "session-read", "valid": True},
)


def test_runs_of_many_writers_stand_in_one_file_in_the_order_of_their_start(tmp_path):
    folder = tmp_path / "results"
    runs = [replace(MADE, started=MADE.started + timedelta(days=d)) for d in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: results.append(folder, run), reversed(runs)))
    found = results.read(folder)
    assert [run["started"] for run in found] == [
        run.started.isoformat() for run in runs
    ]
    assert [path.name for path in folder.iterdir()] == ["load.jsonl"]


def test_a_trend_is_one_figure_of_the_valid_runs_that_are_alike(tmp_path: Path):
    other = replace(MADE, extra={"profile": "mixed-day", "valid": True})
    invalid = replace(MADE, extra={"profile": "session-read", "valid": False})
    for run in (MADE, other, invalid):
        results.append(tmp_path, run)
    found = results.read(tmp_path)
    assert results.trend(found, "service_p99_ms", profile="session-read") == [
        (MADE.started.isoformat(), 4.0)
    ]


def test_a_run_after_a_line_without_its_end_has_a_line_of_its_own(tmp_path: Path):
    path = results.append(tmp_path, MADE)
    whole = path.read_text()
    path.write_text(whole + '{"started"')
    results.append(tmp_path, MADE)
    assert path.read_text() == whole + '{"started"\n' + whole


def test_a_line_without_its_end_is_left_out_and_a_broken_one_is_named(tmp_path: Path):
    path = results.append(tmp_path, MADE)
    whole = path.read_text()
    path.write_text(whole + '{"started"')
    assert len(results.read(tmp_path)) == 1
    assert results.read(tmp_path, "drill") == []
    path.write_text(whole + "[]\n")
    with pytest.raises(InvalidInput, match="line 2 is no result"):
        results.read(tmp_path)
    path.write_bytes(whole.encode() + b'{"started": "\xff"}\n')
    with pytest.raises(InvalidInput, match="line 2 is not JSON"):
        results.read(tmp_path)
