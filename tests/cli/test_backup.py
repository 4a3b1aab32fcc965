"""`authkit backup`: what is printed, what is written, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authkit.cli import app
from authkit.lab import Lab, cluster
from authkit.ops.backup import Folder
from authkit.ops.backup.streaming import streaming
from authkit.testing.waiting import until

pytestmark = pytest.mark.usefixtures("no_env")


def run(*arguments: str, url: str = "postgresql://a:hidden@127.0.0.1:1/x") -> Result:
    return CliRunner().invoke(app, ["backup", *arguments], env={"DATABASE_URL": url})


@contextmanager
def running(command: str, folder: Path, lab: Lab) -> Generator[subprocess.Popen[bytes]]:
    """A command in a process of its own, which is killed at the end if it runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "authkit", "backup", command, str(folder)],
        env={**os.environ, **lab.env()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


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


def test_a_stream_follows_the_primary_through_a_failover(tmp_path: Path):
    with (
        cluster(1, config={"fsync": "off"}, in_memory=True, synchronous=False) as lab,
        running("stream", tmp_path / "kept", lab),
    ):
        until(lambda: streaming(lab.url()), "the stream")
        lab.wait_replayed()
        lab.kill("primary")
        lab.promote()
        until(lambda: streaming(lab.url()), "the stream from the new primary")


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
