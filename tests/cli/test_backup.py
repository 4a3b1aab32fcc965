"""`authkit backup`: what is printed, what is written, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authkit.cli import app
from authkit.ops.backup import Folder

pytestmark = pytest.mark.usefixtures("no_env")


def run(*arguments: str, url: str = "postgresql://a:hidden@127.0.0.1:1/x") -> Result:
    return CliRunner().invoke(app, ["backup", *arguments], env={"DATABASE_URL": url})


def test_a_backup_is_made_listed_and_verified(pair, tmp_path: Path):
    folder = str(tmp_path / "kept")
    made = run("create", folder, "--keep", "1", url=pair.url())
    assert made.exit_code == 0, made.output
    assert "Made the full backup" in made.output
    (backup,) = Folder(Path(folder)).backups()
    assert backup.id in run("list", folder).output
    assert "every file is as it was written" in run("verify", folder).output


def test_bad_input_is_one_sentence_each(tmp_path: Path):
    for arguments, sentence in (
        (["verify", str(tmp_path)], "authkit backup create"),
        (["list", str(tmp_path / "misspelt")], "holds no finished backup"),
        (["create", str(tmp_path)], "is the server running?"),
        (["restore", str(tmp_path), "to", "--time", "soon"], "no time"),
        (["restore", str(tmp_path), "to", "--lsn", "here"], "no time"),
    ):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert sentence in str(refused.exception)
        assert "hidden" not in str(refused.exception)


@pytest.mark.slow
def test_a_drill_from_nothing_writes_its_figures(tmp_path: Path):
    target = tmp_path / "figures.json"
    played = run("drill", "--json", str(target))
    assert played.exit_code == 0, played.output
    said = json.loads(target.read_text())
    figures = {f["name"]: f for f in said["figures"]}
    assert figures["faults"]["value"] == 0
    assert figures["recovery_point_s"]["holds"]
    assert "rows" in {finding["name"] for finding in said["findings"]}
