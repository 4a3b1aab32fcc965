"""What is left of a lab is removed, and nothing that another user made look like one.

Programs that only wait stand for its servers: what is told of them is what is read.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from authkit.lab import ending, processes, state
from authkit.lab.account import choose
from authkit.lab.processes import Process
from authkit.lab.reaping import reap
from authkit.lab.state import LabState, NodeState
from authkit.testing.waiting import until

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for others")
PORT = 15_001


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The folder of a lab whose program and watcher have ended."""
    folder = tmp_path / "state" / "labs" / f"left-{os.getpid()}"
    folder.mkdir(parents=True)
    _save(folder, sockets=folder / "sockets")
    return folder


def _save(folder: Path, *, sockets: Path) -> LabState:
    # This pid lives, but belongs to a process that began later.
    ended = Process(os.getpid(), 1)
    lab = LabState(
        name=folder.name,
        token="0123abcd",  # no secret: it is part of a title
        created="2026-03-01T12:00:00+00:00",
        bindir="/bin",
        version="18.6",
        account=choose().name,
        password="secret",  # of nothing that runs
        sockets=str(sockets),
        primary="node1",
        nodes=(NodeState("node1", PORT),),
        synchronous=False,
        owner=ended,
        watcher=ended,
    )
    state.save(folder, lab)
    return lab


@contextmanager
def _server_of(
    folder: Path, *, user: int | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """Run what was told the same as a lab's server."""
    node = folder / "node1"
    told = ["-D", f"{node / 'data'}", "-c", f"config_file={node / 'postgresql.conf'}"]
    with subprocess.Popen(
        ["/bin/sh", "-c", "read line", "sh", *told],
        stdin=subprocess.PIPE,
        cwd="/",
        user=user,
    ) as server:
        # In the middle of its exec a process has no arguments to know it by.
        until(
            lambda: processes.arguments_of(server.pid)[-len(told) :] == told,
            "it is known by its arguments",
        )
        yield server


def test_a_lab_of_ours_that_was_left_behind_is_removed_with_its_servers(left: Path):
    with _server_of(left) as server:
        until(lambda: left.name in reap() or not left.exists(), "it is reaped")
        assert server.wait() == -signal.SIGKILL
    assert not left.exists()


@pytest.mark.parametrize("opened", ["the folder", "one above"])
def test_a_folder_that_another_user_could_have_made_is_left_alone(
    left: Path, opened: str
):
    (left if opened == "the folder" else left.parent).chmod(0o777)
    with _server_of(left) as server:
        assert left.name not in reap()
        assert server.poll() is None
    assert (left / "lab.json").exists()


@ROOT_ONLY
def test_a_folder_that_another_user_did_make_is_left_alone(left: Path):
    for path in (left / "lab.json", left):
        os.chown(path, choose().uid, -1)
    with _server_of(left, user=choose().uid):
        assert left.name not in reap()
    assert (left / "lab.json").exists()


def test_a_link_to_a_lab_is_left_alone(left: Path):
    link = left.with_name(f"link-{os.getpid()}")
    link.symlink_to(left)
    with _server_of(link) as server:
        assert link.name not in reap()
        assert server.poll() is None


def test_servers_of_ours_whose_folder_is_gone_are_ended(left: Path):
    shutil.rmtree(left)
    with _server_of(left) as server:
        until(lambda: left.name in reap() or server.poll() is not None, "it is reaped")
        assert server.wait() == -signal.SIGKILL


@ROOT_ONLY
def test_a_program_of_another_user_that_names_a_folder_that_is_gone_goes_on(
    left: Path,
):
    shutil.rmtree(left)
    with _server_of(left, user=12345) as server:
        assert left.name not in reap()
        assert server.poll() is None


@ROOT_ONLY
def test_a_program_that_changed_its_user_is_nobodys():
    code = "import os; os.setresuid(12345, 0, 0); print(flush=True); open(0).read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as changed:
        assert changed.stdout is not None
        changed.stdout.readline()
        assert processes.account_of(changed.pid) is None
    assert processes.account_of(os.getpid()) == 0


def test_outside_its_folder_a_lab_loses_sockets_and_nothing_else(
    left: Path, tmp_path: Path
):
    sockets = tmp_path / "authkit-sockets"
    sockets.mkdir()
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock", "precious"):
        (sockets / name).touch()
    choose().own(sockets, 0o700)
    _save(left, sockets=sockets)
    ending.remove(left)
    assert [path.name for path in sockets.iterdir()] == ["precious"]
    assert not left.exists()


def test_sockets_behind_a_link_are_not_a_labs(left: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / f".s.PGSQL.{PORT}").touch()
    choose().own(other, 0o700)
    (tmp_path / "link").symlink_to(other)
    _save(left, sockets=tmp_path / "link")
    ending.remove(left)
    assert [path.name for path in other.iterdir()] == [f".s.PGSQL.{PORT}"]


@ROOT_ONLY
def test_sockets_in_a_folder_of_another_account_are_not_a_labs(
    left: Path, tmp_path: Path
):
    other = tmp_path / "other"
    other.mkdir()
    (other / f".s.PGSQL.{PORT}").touch()
    _save(left, sockets=other)
    ending.remove(left)
    assert [path.name for path in other.iterdir()] == [f".s.PGSQL.{PORT}"]
