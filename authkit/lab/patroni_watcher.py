"""The small process beside a Patroni lab: removes it when its owner has died.

However the owner ends, by SIGKILL too, no Patroni, PostgreSQL or etcd stays behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import patroni_processes, watcher
from authkit.lab.processes import Process, alive

_TICK_S = 2.0


def spawn(folder: Path, owner: Process, scope: str) -> Process:
    """Start the watcher as a process of its own and return it.

    Raises:
        LabError: it did not start.
    """
    return watcher.spawn(
        folder, str(owner.pid), str(owner.started), scope, module=__name__
    )


def watch(folder: Path, owner: Process, scope: str) -> None:
    """Wait until the lab is gone or its owner is, and remove what is left of it.

    Where its folder was deleted, its processes are ended all the same.
    """
    watcher.outlast_the_owner()
    bell = watcher.bell_of(owner)
    while folder.exists() and alive(owner):
        watcher.rest(bell, _TICK_S)
    while True:
        try:
            patroni_processes.remove(folder, scope)
        except LabError as exc:  # a process that waits for its disk, say
            sys.stderr.write(f"{exc}\n")
            watcher.rest(None, _TICK_S)
        else:
            return


if __name__ == "__main__":
    watch(Path(sys.argv[1]), Process(int(sys.argv[2]), int(sys.argv[3])), sys.argv[4])
