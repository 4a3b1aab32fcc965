"""The sheet of goals: no figure without its file, no goal without its row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from authkit.cli import app
from authkit.errors import InvalidInput
from authkit.harness import goals

HERE = Path(__file__).parents[2] / "bench"

TOML = """
[command]
drill = "authkit drill failover"
suite = "pytest bench/test_relational.py"

[[goal]]
area = "Failover"
what = "promotion to first write"
op = "<="
bound = 250
unit = "ms"
source = "drill"
figure = "to_write_s"
scale = 1000

[[goal]]
area = "Relational"
what = "check over a prepared statement"
op = "<="
bound = 1.3
source = "suite"
figure = "test_check: over"
missed = "the driver's share"
"""

DRILL: dict[str, Any] = {
    "command": "drill failover",
    "postgres": "18.6",
    "machine": {"cpus": 2, "system": "Linux", "python": "3.13.1"},
    "started": "2026-11-23T07:00:00+00:00",
    "figures": [{"name": "to_write_s", "value": 0.0501}],
    "series": [1, 2, 3],
}
SUITE: dict[str, Any] = {
    "datetime": "2026-11-23T07:00:00",
    "machine_info": {
        "node": "secret.example",
        "system": "Linux",
        "release": "6",
        "cpu": {"count": 2, "brand_raw": "x"},
    },
    "benchmarks": [
        {"name": "test_check", "stats": {}, "extra_info": {"over": {"value": 1.5}}}
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "goals.toml").write_text(TOML, encoding="utf-8")
    made = tmp_path / "results"
    made.mkdir()
    (made / "drill.json").write_text(json.dumps(DRILL), encoding="utf-8")
    return made


def sheet(folder: Path) -> tuple[int, str, str]:
    words = ["bench", "results", str(folder), "--goals"]
    ended = CliRunner().invoke(app, [*words, str(folder.parent / "goals.toml")])
    text = (folder.parent / "RESULTS.md").read_text(encoding="utf-8")
    return ended.exit_code, ended.output, text


def test_a_goal_that_nobody_measured_stands_in_the_sheet_and_fails(
    folder: Path,
) -> None:
    code, out, text = sheet(folder)
    assert code == 1
    assert "not measured: Relational" in out
    assert "| promotion to first write | <= 250 ms | 50.1 ms | met |" in text
    assert "2 goals: 1 met, 0 missed, 1 not measured." in text


def test_a_missed_goal_is_told_with_its_reason(folder: Path) -> None:
    (folder / "suite.json").write_text(json.dumps(SUITE), encoding="utf-8")
    code, out, text = sheet(folder)
    assert code == 0
    assert "missed: Relational, check over a prepared statement 1.5" in out
    assert "| <= 1.3 | 1.5 | **missed** |" in text
    assert "- **check over a prepared statement**: the driver's share" in text


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "import sys; sys.exit(3)"])
def test_a_command_that_fails_is_told_and_leaves_the_figures_of_before(
    folder: Path, code: str
) -> None:
    failing = TOML.replace("authkit drill failover", f"python -c '{code}'", 1)
    (folder.parent / "goals.toml").write_text(failing, encoding="utf-8")
    before = (folder / "drill.json").read_text(encoding="utf-8")
    words = ["bench", "results", str(folder), "--run", "-k", "drill", "--goals"]
    ended = CliRunner().invoke(app, [*words, str(folder.parent / "goals.toml")])
    assert isinstance(ended.exception, InvalidInput)
    assert "what it printed says why" in str(ended.exception)
    assert (folder / "drill.json").read_text(encoding="utf-8") == before
    assert [path.name for path in folder.iterdir()] == ["drill.json"]


def test_what_is_kept_names_no_machine_and_holds_no_series() -> None:
    for made in (DRILL, SUITE):
        kept = goals.slim(made)
        assert "series" not in kept
        assert "secret.example" not in json.dumps(kept)
        assert kept.get("figures") == made.get("figures")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("bound = 250", 'limit = "250"'), "goal 1"),
        (('op = "<="', 'op = "<"'), "no comparison"),
        (('drill = "authkit drill failover"', ""), "no command for drill"),
        (("[command]", "[command"), "no TOML"),
    ],
)
def test_a_bad_file_of_goals_is_named(
    tmp_path: Path, change: tuple[str, str], word: str
) -> None:
    path = tmp_path / "goals.toml"
    path.write_text(TOML.replace(*change, 1), encoding="utf-8")
    with pytest.raises(InvalidInput, match=word):
        goals.load(path)


def test_the_sheet_in_the_repository_is_the_one_its_figures_make() -> None:
    known = goals.load(HERE / "goals.toml")
    found = goals.figures(HERE / "results", tuple(known.commands))
    made = goals.markdown(known, found)
    assert (HERE / "RESULTS.md").read_text(encoding="utf-8") == made
    assert len({(goal.area, goal.what) for goal in known.goals}) == len(known.goals)
