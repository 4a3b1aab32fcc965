"""Remove a lab: its processes, its memory, its sockets, its folder."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import places, processes, state
from authkit.lab.server import server_of


def remove(folder: Path) -> None:
    """End every process of a lab and remove its folder; the lab is locked.

    A lab whose state file is damaged is known by its folder alone.
    """
    try:
        lab = state.load(folder)
    except LabError:
        lab = None
    if lab is None:
        processes.kill_under(folder)
    else:
        if lab.watcher is not None and lab.watcher.pid != os.getpid():
            processes.end(lab.watcher, signal.SIGKILL, wait_s=5)
        for node in lab.nodes:
            server_of(folder, lab, node.name).kill()
        if places.has_own_sockets(folder, lab):
            shutil.rmtree(lab.sockets, ignore_errors=True)
    try:
        shutil.rmtree(folder)
    except OSError as exc:
        raise LabError(
            f"the lab's processes have ended, but {folder} cannot be removed: "
            f"{exc.strerror}"
        ) from exc
