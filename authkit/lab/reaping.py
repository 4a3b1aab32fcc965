"""Remove labs that nobody looks after any more.

A lab that a program owns goes with it: the program removes it, or else the lab's
watcher does. Killed together, they leave its servers behind, frozen ones for ever. What
is removed is found by the servers that run, so that one of another machine or
container, whose owner cannot be seen from here, is never mistaken for one.
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import processes, state
from authkit.lab.ending import remove

_SPACES = ("mnt", "pid")


def reap() -> tuple[str, ...]:
    """Remove every lab whose program and watcher have ended; return their names."""
    gone: list[str] = []
    for folder in sorted(_running()):
        # Another user's, or in the hands of a command that is ending it.
        with contextlib.suppress(LabError):
            if not folder.exists():
                processes.kill_under(folder)
                gone.append(folder.name)
            elif _abandoned(folder):
                with state.locked(folder, timeout_s=0):
                    remove(folder)
                gone.append(folder.name)
    return tuple(gone)


def _abandoned(folder: Path) -> bool:
    lab = state.load(folder)
    return (
        lab is not None
        and lab.owner is not None
        and not processes.alive(lab.owner)
        and not processes.alive(lab.watcher)
    )


def _running() -> set[Path]:
    """Return the folders of the labs whose servers run here; a folder may be gone."""
    found: set[Path] = set()
    for pid in processes.pids():
        said = processes.arguments_of(pid)
        for flag, value in itertools.pairwise(said):
            node = Path(value).parent
            # As `Server.launch` starts it: a server of somebody else's is no lab.
            if (
                flag == "-D"
                and node.parent.parent.name == "labs"
                and f"config_file={node / 'postgresql.conf'}" in said
                and _sees_what_we_see(pid)
            ):
                found.add(node.parent)
    return found


def _sees_what_we_see(pid: int) -> bool:
    """Tell whether a path and a pid mean to that process what they mean to us."""
    try:
        return all(
            Path(f"/proc/{pid}/ns/{space}").samefile(f"/proc/self/ns/{space}")
            for space in _SPACES
        )
    except OSError:  # it has ended, or belongs to another user
        return False
