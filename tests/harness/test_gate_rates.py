"""Recorded runs: written, read again, judged as they would be in a whole gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from authkit.errors import InvalidInput
from authkit.harness.gate import rates, recorded
from authkit.harness.gate.recorded import Run
from authkit.harness.gate.statistics import Comparison, Estimate
from authkit.harness.gate.verdicts import Measured

ROOT = Path(__file__).resolve().parents[2]
EVEN = Comparison(Estimate(0.0, 0.004), Estimate(0.001, 0.005), 144)
SLOW = Comparison(Estimate(0.05, 0.004), Estimate(0.049, 0.005), 144)
ONE = Measured("a", change=EVEN, control=EVEN, base_us=100.0, seconds=2.5)


def written(path: Path, *found: Measured, slow: float = 0.0) -> Path:
    for number, one in enumerate(found):
        recorded.append(path, Run(number // 2, slow, 1, one))
    return path


def test_runs_read_back_as_they_were_written(tmp_path: Path):
    path = written(tmp_path / "runs", ONE, replace(ONE, benchmark="b", change=SLOW))
    first, second = recorded.read([path])
    assert first == Run(0, 0.0, 1, ONE)
    assert second.measured.change == SLOW


def test_a_complete_file_is_judged_and_nothing_is_measured(tmp_path: Path):
    other = replace(ONE, benchmark="b")
    path = written(tmp_path / "aa", ONE, other, ONE, replace(other, change=SLOW))
    report = rates.run(runs=4, raw=path)
    found = {one.name: one for one in report.figures}
    assert found["false alarms"].value == 0.25
    assert found["false alarms"].holds is False
    assert found["whole gates"].value == 2
    assert found["false alarms of whole gates"].value == 0.5


def test_what_was_slowed_and_not_seen_lowers_the_share_that_is_caught(tmp_path: Path):
    slowed = replace(ONE, change=SLOW)
    path = written(tmp_path / "in", slowed, slowed, slowed, ONE, slow=0.05)
    report = rates.run(runs=4, slow=0.05, raw=path)
    found = {one.name: one for one in report.figures}
    assert found["caught"].value == 0.75
    assert found["caught"].goal == ">= 0.95"
    with pytest.raises(InvalidInput, match="another slowdown"):
        rates.run(runs=4, slow=0.1, raw=path)


def test_a_damaged_line_is_named(tmp_path: Path):
    path = tmp_path / "runs"
    path.write_text("{}\n")
    with pytest.raises(InvalidInput, match="line 1 is no run"):
        recorded.read([path])


@pytest.mark.parametrize(
    ("name", "slow", "figure"),
    [
        ("aa", 0.0, "false alarms"),
        ("aa", 0.0, "false alarms of whole gates"),
        ("inject-5", 0.05, "caught"),
        ("inject-5", 0.05, "false alarms of controls"),
        ("inject-10", 0.1, "caught"),
        ("inject-10", 0.1, "longest run"),
    ],
)
def test_the_recorded_runs_hold_what_the_readme_says(
    name: str, slow: float, figure: str
):
    path = ROOT / "bench" / "rates" / f"{name}.jsonl"
    runs = len(recorded.read([path]))
    report = rates.run(runs=runs, slow=slow, raw=path)
    assert {one.name: one.holds for one in report.figures}[figure]
    assert f" {runs} " in " ".join((ROOT / "README.md").read_text().split())
