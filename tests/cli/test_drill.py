from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from authkit import cli
from authkit.cli.drill import ROUNDS
from authkit.harness.drills.scenarios import SCENARIOS


def test_every_drill_has_a_name_on_the_command_line() -> None:
    assert set(SCENARIOS) == {drill.value for drill in ROUNDS}


def test_an_option_of_another_drill_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["authkit", "drill", "staleness", "--rounds", "3", "--seconds", "9"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert "--rounds is not for the drill staleness" in error
    assert "--seconds is not for the drill staleness" in error


def test_a_drill_prints_its_figures_and_writes_them_as_json(tmp_path: Path) -> None:
    file = tmp_path / "drill.json"
    options = ["--rounds", "1", "--colour", "async", "--json", str(file)]
    run = subprocess.run(
        [sys.executable, "-m", "authkit", "drill", "failover", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    form = json.loads(file.read_text())
    found = {figure["name"]: figure for figure in form["figures"]}
    missed = any(figure["holds"] is False for figure in found.values())
    assert run.returncode == int(missed), run.stderr
    assert form["command"] == "drill failover"
    assert found["async_acknowledged_writes_lost"]["value"] == 0
    assert found["async_promotion_to_write_max_ms"]["goal"] == "<= 250"
    assert len(form["rounds"]) == 1
    assert "acknowledged writes lost" in run.stdout


def test_the_peers_that_can_be_measured_are_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["authkit", "bench", "peers", "--help"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert "cluster" in out
    assert "hot" in out
