"""`authkit backup`: what is printed, what is written, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from authkit.cli import app
from authkit.lab import Lab, cluster, processes
from authkit.ops.backup import Folder
from authkit.ops.backup.streaming import streaming
from authkit.testing.plugin import memory_folder
from authkit.testing.waiting import until

pytestmark = pytest.mark.usefixtures("no_env")


def run(*arguments: str, url: str = "postgresql://a:hidden@127.0.0.1:1/x") -> Result:
    return CliRunner().invoke(app, ["backup", *arguments], env={"DATABASE_URL": url})


@contextmanager
def running(*arguments: str | Path, lab: Lab) -> Generator[subprocess.Popen[bytes]]:
    """A command in a process of its own, which is told to end at last."""
    with subprocess.Popen(
        [sys.executable, "-m", "authkit", "backup", *map(str, arguments)],
        env={**os.environ, **lab.env()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def programs_on(folder: Path) -> list[list[str]]:
    every = (processes.arguments_of(pid) for pid in processes.pids())
    return [said for said in every if any(str(folder) in word for word in said)]


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
        running("stream", tmp_path / "kept", lab=lab),
    ):
        until(lambda: streaming(lab.url()), "the stream")
        lab.wait_replayed()
        lab.kill("primary")
        lab.promote()
        until(lambda: streaming(lab.url()), "the stream from the new primary")


def test_a_stream_that_is_told_to_end_leaves_no_program(pair: Lab, tmp_path: Path):
    folder = Folder(tmp_path / "kept")
    with running("stream", folder.path, lab=pair) as process:
        until(lambda: streaming(pair.url()), "the stream")
        process.terminate()
        assert process.wait() == 130
        assert programs_on(folder.wal) == []
    pair.sql("SELECT pg_drop_replication_slot('authkit_backup')")


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that the servers' account can enter, and where none outlives a test."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as path:
        folder = Path(path).resolve()
        folder.chmod(0o711)
        yield folder
        processes.kill_under(folder)


def test_a_drill_that_is_told_to_end_leaves_neither_server_nor_copy(
    pair: Lab, tmp_path: Path, disk: Path
):
    folder = tmp_path / "kept"
    made = run("create", str(folder), url=pair.url())
    assert made.exit_code == 0, made.output
    with running("drill", folder, "--at", disk, lab=pair) as process:
        pid = "drill-*/restored/data/postmaster.pid"
        until(lambda: any(disk.glob(pid)), "the drill's server", within_s=60)
        (data,) = disk.glob("drill-*/restored/data")
        assert processes.freeze_all(data, "")  # it is not done too soon
        process.terminate()
        assert process.wait() == 130
    assert programs_on(disk) == []
    assert list(disk.iterdir()) == []
    pair.sql("SELECT pg_drop_replication_slot('authkit_backup')")


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
