"""The small process beside a lab: removes it when its owner dies, degrades it.

It is started only for a lab that a program owns, or that is to degrade. It never
waits for a server: a frozen primary must not keep it from its duties.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from authkit.errors import LabError
from authkit.lab import processes, state
from authkit.lab.processes import Process
from authkit.lab.state import LabState

if TYPE_CHECKING:
    from authkit.lab.degrading import Degrading

_IDLE_TICK_S = 2.0
_WATCH_TICK_S = 0.25


def spawn(
    folder: Path, *arguments: str, module: str = "authkit.lab.watcher"
) -> Process:
    """Start the watcher of a lab as a process of its own and return it.

    Args:
        folder: of the lab.
        arguments: whatever else the watcher is told.
        module: what is run.

    Raises:
        LabError: it did not start.
    """
    import authkit

    # A checkout that is on the path of this program only must be on the watcher's too.
    paths = [str(Path(authkit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with (folder / "watcher.log").open("ab") as log:
        # The shell leaves at once: this program has no child to reap.
        run = subprocess.run(
            ["/bin/sh", "-c", '"$@" </dev/null >&2 & echo $!', "sh",
             sys.executable, "-m", module, str(folder), *arguments],
            stdout=subprocess.PIPE, stderr=log, cwd="/", env=environment,
            start_new_session=True, check=True,
        )  # fmt: skip
    process = processes.identify(int(run.stdout))
    if process is None:
        raise LabError("the lab's watcher did not start")
    return process


def watch(folder: Path) -> None:
    """Look after a lab until it is gone or its owner is.

    Where its folder was deleted, its servers are ended: a frozen one does not notice.
    """
    bell: int | None = None
    degrading: Degrading | None = None
    while (lab := _load(folder)) is not None:
        if lab.owner is not None:
            outlast_the_owner()
            bell = bell if bell is not None else bell_of(lab.owner)
            if not processes.alive(lab.owner):
                _remove(folder)
                return
        tick = _IDLE_TICK_S
        if lab.degrade_after_s is not None and lab.ready:
            from authkit.lab.degrading import Degrading

            degrading = degrading or Degrading(folder)
            degrading.consider(lab, lab.degrade_after_s)
            tick = _WATCH_TICK_S
        rest(bell, tick)
    if not folder.exists():
        processes.kill_under(folder)


def outlast_the_owner() -> None:
    """Ignore what asks a program to end: who ends them all means the owner first.

    The watcher of a lab that is owned ends with the lab.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def rest(bell: int | None, seconds: float) -> None:
    """Let so much time pass, or less when the bell rings."""
    if bell is None:
        time.sleep(seconds)
    else:
        select.select([bell], [], [], seconds)


def bell_of(owner: Process) -> int | None:
    """Return what becomes readable when a process ends, where the kernel has it.

    That is a pidfd (Linux 5.3); without it the process table is read every tick.
    """
    try:
        return os.pidfd_open(owner.pid)
    except OSError:
        return None


def _load(folder: Path) -> LabState | None:
    try:
        return state.load(folder)
    except LabError:
        return None  # damaged: `authkit lab status` says so, and there is nothing to do


def _remove(folder: Path) -> None:
    from authkit.lab.ending import remove

    while folder.exists():
        try:
            with state.locked(folder):
                remove(folder)
        except LabError as exc:  # another command has the lab: its turn comes first
            sys.stderr.write(f"{exc}\n")
            time.sleep(_IDLE_TICK_S)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
