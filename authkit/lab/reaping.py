"""Remove labs that nobody looks after any more.

A lab that a program owns goes with it: the program removes it, or else the lab's
watcher does. Killed together, they leave its servers behind, frozen ones for ever. What
is removed is found by the servers that run, so that one of another machine or
container, whose owner cannot be seen from here, is never mistaken for one.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import ending, patroni_processes, patroni_state, processes, state

_SPACES = ("mnt", "pid")


def reap() -> tuple[str, ...]:
    """Remove every lab whose program and watcher have ended; return their names."""
    gone: list[str] = []
    for folder, remove in sorted(_running().items()):
        # Another user's, or in the hands of a command that is ending it.
        with contextlib.suppress(LabError):
            if not folder.exists() or _abandoned(folder):
                remove(folder)
                gone.append(folder.name)
    return tuple(gone)


def _abandoned(folder: Path) -> bool:
    lab = state.load(folder) or patroni_state.load(folder)
    return (
        lab is not None
        and lab.owner is not None
        and not processes.alive(lab.owner)
        and not processes.alive(lab.watcher)
    )


def _remove_plain(folder: Path) -> None:
    if not folder.exists():
        processes.kill_under(folder)
        return
    with state.locked(folder, timeout_s=0):
        ending.remove(folder)


def _remove_patroni(folder: Path) -> None:
    known = patroni_state.load(folder)
    patroni_processes.remove(folder, None if known is None else known.scope)


def _running() -> dict[Path, Callable[[Path], None]]:
    """Return the folders of the labs that run here, which may be gone, and their end.

    As authkit starts them: a server of somebody else's is no lab.
    """
    found: dict[Path, Callable[[Path], None]] = {}
    for pid in processes.pids():
        said = processes.arguments_of(pid)
        for flag, value in itertools.pairwise(said):
            own = Path(value).parent
            folder = own.parent
            if folder.parent.name != "labs":
                continue
            if flag == "-D" and f"config_file={own / 'postgresql.conf'}" in said:
                remove = _remove_plain
            elif (
                flag in {"-D", "--data-dir"} and folder.parent.parent.name == "patroni"
            ):
                remove = _remove_patroni
            else:
                continue
            if _sees_what_we_see(pid):
                found[folder] = remove
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
