"""A cluster that was restored once: what stays of that, and what is kept of it."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from authkit.errors import BackupError
from authkit.lab import Lab, cluster
from authkit.ops.backup import Folder, Stream, Target, create, restore
from authkit.ops.backup.streaming import receive_until
from authkit.ops.backup.throwaway import Place, throwaway
from authkit.ops.backup.tools import Tools, find_tools
from authkit.ops.backup.wal import position
from authkit.ops.connection import connect
from authkit.ops.database import setup
from authkit.testing.plugin import memory_folder

POINT = "after both"
_HBA = "local all all trust\nlocal replication all trust\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of backups, and a moment: after `good` was written, before `bad`."""

    url: str
    folder: Folder
    good: datetime


@pytest.fixture(scope="module")
def tools() -> Tools:
    return find_tools()


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A folder that the servers' account can enter, in memory where there is room."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.fixture(scope="module")
def kept(tools: Tools, disk: Path) -> Iterator[Kept]:
    """A cluster whose settings an older restore has left behind, and its backup."""
    folder = Folder(disk / "backups")
    with cluster(replicas=0, in_memory=True, config={"fsync": "off"}) as lab:
        setup(lab.url())
        lab.sql("ALTER SYSTEM SET recovery_target_time = '2020-01-01 00:00:00+00'")
        lab.sql("ALTER SYSTEM SET recovery_target_inclusive = off")
        keep_log(lab, folder, tools)  # from here on
        create(lab.url(), folder, tools=tools)
        write(lab, "good")
        ((good,),) = lab.sql("SELECT clock_timestamp()")
        write(lab, "bad")
        lab.sql("SELECT pg_switch_wal()")
        keep_log(lab, folder, tools)
        yield Kept(lab.url(), folder, good)


def write(lab: Lab, key: str) -> None:
    lab.sql("INSERT INTO authkit.write_keys (key, status) VALUES (%s,'applied')", [key])


def keep_log(lab: Lab, folder: Folder, tools: Tools) -> None:
    ((end,),) = lab.sql("SELECT pg_create_restore_point(%s)::text", [POINT])
    receive_until(tools, folder, lab.url(), position(end))


@contextmanager
def recovered(
    tools: Tools, disk: Path, kept: Kept, target: Target
) -> Generator[tuple[Place, str]]:
    """A server that was restored to a moment and takes writes, and its URL."""
    with throwaway(tools, disk) as spot:
        spot.prepare()
        spot.server.write("pg_hba.conf", _HBA)
        spot.take_log(kept.folder, kept.folder.find())
        restore(
            kept.folder, spot.data, target, account=spot.server.account, wal=spot.wal,
            tools=tools, verified=False,
        )  # fmt: skip
        spot.recover()
        yield spot, spot.url(kept.url)


@pytest.mark.parametrize("target", [Target(), Target(name=POINT)], ids=str)
def test_what_a_cluster_was_restored_to_before_does_not_end_its_next_recovery(
    tools: Tools, disk: Path, kept: Kept, target: Target
):
    with recovered(tools, disk, kept, target) as (_, url), connect(url) as connection:
        found = connection.execute("SELECT key FROM authkit.write_keys ORDER BY key")
        assert found.fetchall() == [("bad",), ("good",)]


def test_the_settings_of_a_recovery_do_not_outlive_it(
    tools: Tools, disk: Path, kept: Kept
):
    with recovered(tools, disk, kept, Target(time=kept.good)) as (spot, _):
        left = (spot.data / "postgresql.auto.conf").read_text()
    assert "recovery_" not in left
    assert "restore_command" not in left
    for lasting in ("archive_mode", "primary_conninfo", "synchronous_standby_names"):
        assert f"\n{lasting} = " in left


def test_a_cluster_that_was_restored_to_an_earlier_moment_needs_another_folder(
    tools: Tools, disk: Path, kept: Kept
):
    before = files(kept.folder)
    with (
        recovered(tools, disk, kept, Target(time=kept.good)) as (_, url),
        tempfile.TemporaryDirectory(dir=disk) as other,
    ):
        for refused in (
            lambda: create(url, kept.folder, tools=tools),
            lambda: Stream(url, kept.folder, tools=tools).prepare(),
            lambda: receive_until(tools, kept.folder, url, 1),
        ):
            with pytest.raises(BackupError, match="restored to an earlier moment"):
                refused()
        assert files(kept.folder) == before
        assert create(url, Folder(Path(other)), tools=tools).timeline == 2


def files(folder: Folder) -> dict[Path, int]:
    """Every file there, and when it was changed."""
    return {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
