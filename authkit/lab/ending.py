"""Remove a lab: its processes, its memory, its sockets, its folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import places, processes, state
from authkit.lab.account import by_name
from authkit.lab.server import server_of
from authkit.lab.state import LabState


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
            _remove_sockets(lab)
    try:
        shutil.rmtree(folder)
    except OSError as exc:
        raise LabError(
            f"the lab's processes have ended, but {folder} cannot be removed: "
            f"{exc.strerror}"
        ) from exc


def _remove_sockets(lab: LabState) -> None:
    """Remove the sockets that live outside a lab's folder, and theirs if empty.

    A path of a file is no proof of whose it is: nothing goes but what the servers make
    there, and only from a real folder of the account that runs them.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):  # swept already, or no folder of a lab's
        handle = os.open(lab.sockets, flags)
        try:
            if os.fstat(handle).st_uid != by_name(lab.account).uid:
                return
            for node in lab.nodes:
                for suffix in ("", ".lock"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(f".s.PGSQL.{node.port}{suffix}", dir_fd=handle)
        finally:
            os.close(handle)
        Path(lab.sockets).rmdir()
