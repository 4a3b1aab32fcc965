"""Backups of the oldest version that is supported, with its own programs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from authkit.errors import BackupError
from authkit.lab import cluster
from authkit.ops.backup import Folder, create, verify
from authkit.ops.backup.staging import drill_a_lab
from authkit.ops.backup.tools import find_tools
from authkit.testing.plugin import memory_folder

OLDEST = Path("/usr/lib/postgresql/15/bin")


@pytest.mark.slow
def test_the_oldest_server_is_backed_up_in_full_and_says_why_not_incrementally(
    monkeypatch: pytest.MonkeyPatch,
):
    if not (OLDEST / "postgres").exists():
        pytest.skip("PostgreSQL 15 is not installed here")
    monkeypatch.setenv("AUTHKIT_PG_BINDIR", str(OLDEST))
    tools = find_tools()
    with (
        cluster(replicas=0, bindir=OLDEST, config={"fsync": "off"}) as lab,
        tempfile.TemporaryDirectory(dir=memory_folder()) as path,
    ):
        folder = Folder(Path(path))
        made = create(lab.url(), folder, tools=tools)
        with pytest.raises(BackupError, match=r"15\.\d+ .*no incremental backups"):
            create(lab.url(), folder, incremental=True, tools=tools)
        assert verify(folder, tools=tools) == [made]
        with (folder.data(made.id) / "PG_VERSION").open("a") as file:
            file.write("!")
        with pytest.raises(BackupError, match="PG_VERSION"):
            verify(folder, tools=tools)


@pytest.mark.slow
def test_a_drill_from_nothing_recovers_on_the_oldest_server_without_increments(
    monkeypatch: pytest.MonkeyPatch,
):
    if not (OLDEST / "postgres").exists():
        pytest.skip("PostgreSQL 15 is not installed here")
    monkeypatch.setenv("AUTHKIT_PG_BINDIR", str(OLDEST))
    found = drill_a_lab(users=5, in_memory=True)
    assert found.report().exit_code == 0
    assert found.written
