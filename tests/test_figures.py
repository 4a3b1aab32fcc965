from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authkit.errors import InvalidInput
from authkit.figures import Figure, Report, figure


def report(*figures: Figure, **extra: object) -> Report:
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Report("demo", started, 1.23456, figures, "18.6", extra)


@pytest.mark.parametrize(
    ("value", "goal", "holds"),
    [
        (3, ("<=", 3), True),
        (4, ("<=", 3), False),
        (3, (">=", 3), True),
        (2, (">=", 3), False),
        (0, ("==", 0), True),
        (1, ("==", 0), False),
    ],
)
def test_a_figure_holds_when_it_meets_its_goal(value, goal, holds):
    assert figure("x", value, goal=goal).holds is holds


def test_a_goal_that_was_not_measured_does_not_hold():
    assert figure("x", None, goal=("<=", 3)).holds is False


def test_a_figure_without_a_goal_neither_holds_nor_fails():
    assert figure("x", 3, "ms") == Figure("x", 3, "ms", None, None)


def test_one_missed_goal_makes_the_exit_code_1():
    good, bad = figure("a", 1, goal=("<=", 2)), figure("b", 3, goal=("<=", 2))
    assert report(good).exit_code == 0
    assert report(good, bad).exit_code == 1


def test_the_json_has_the_documented_shape(tmp_path: Path):
    target = tmp_path / "figures.json"
    report(figure("a", 1, "ms", goal=("<=", 2)), path="x").write_json(str(target))
    written = json.loads(target.read_text())
    assert list(written) == [
        "command",
        "authkit",
        "postgres",
        "machine",
        "started",
        "seconds",
        "figures",
        "path",
    ]
    assert written["figures"] == [
        {"name": "a", "value": 1, "unit": "ms", "goal": "<= 2", "holds": True}
    ]
    assert written["started"] == "2026-01-02T03:04:05+00:00"


def test_a_dash_writes_to_standard_output(capsys: pytest.CaptureFixture[str]):
    report().write_json("-")
    assert json.loads(capsys.readouterr().out)["command"] == "demo"


def test_a_file_that_cannot_be_written_is_a_named_error(tmp_path: Path):
    with pytest.raises(InvalidInput, match="cannot write"):
        report().write_json(str(tmp_path / "missing" / "figures.json"))
