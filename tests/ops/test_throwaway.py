"""A drill's server, and what a drill that was killed has left."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authkit.lab import processes
from authkit.ops.backup.throwaway import throwaway
from authkit.ops.backup.tools import Tools, find_tools
from authkit.testing.plugin import memory_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from authkit.ops.backup.throwaway import throwaway
from authkit.ops.backup.tools import find_tools

with throwaway(find_tools(), Path(sys.argv[1])) as place:
    place.prepare()
    place.server.initialise()
    place.server.start()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def tools() -> Tools:
    return find_tools()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the servers' account can enter."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as path:
        folder = Path(path).resolve()
        folder.chmod(0o711)
        yield folder
        processes.kill_under(folder)


def test_what_a_killed_drill_left_goes_with_the_next_one(tools: Tools, place: Path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = place.iterdir()
    data = left / "restored" / "data"
    assert processes.of_server(data, "")
    with throwaway(tools, place):
        assert not left.exists()
        assert processes.of_server(data, "") == ()
    assert list(place.iterdir()) == []


def test_a_drill_that_runs_is_left_alone_by_another(tools: Tools, place: Path):
    with throwaway(tools, place) as one:
        one.prepare()
        with throwaway(tools, place):
            assert one.server.folder.exists()


def test_what_is_no_drills_is_left_alone(tools: Tools, place: Path):
    mine, linked = place / "drill-notes", place / "linked"
    for folder in (mine, linked):
        folder.mkdir()
    (linked / "authkit-drill.lock").touch()
    (place / "drill-link").symlink_to(linked)
    (place / "drill-file").touch()
    before = set(place.rglob("*"))
    with throwaway(tools, place):
        pass
    assert set(place.rglob("*")) == before
