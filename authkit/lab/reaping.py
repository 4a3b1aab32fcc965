"""Remove labs that nobody looks after any more.

A lab that a program owns goes with it: the program removes it, or else the lab's
watcher does. Killed together, they leave its servers behind, frozen ones for ever. What
is removed is found by the servers that run, so that one of another machine or
container, whose owner cannot be seen from here, is never mistaken for one.

Anybody can start a program with such arguments, and write a state file for them to
name: only this user's servers count, and a folder that no other can have made up.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from functools import partial
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import (
    account,
    ending,
    patroni_processes,
    patroni_state,
    processes,
    state,
)
from authkit.lab.patroni_state import PatroniState
from authkit.lab.processes import Process
from authkit.lab.state import LabState
from authkit.lab.trust import only_ours

_SPACES = ("mnt", "pid")


def reap() -> tuple[str, ...]:
    """Remove every lab whose program and watcher have ended; return their names.

    Raises:
        LabError: this user can run no lab, for want of an account.
    """
    ours = frozenset({os.geteuid(), account.choose().uid})
    removed: list[str] = []
    for folder in sorted(_running(ours)):
        # In the hands of a command that is ending it, or damaged.
        with contextlib.suppress(LabError):
            if _is_gone(folder):
                processes.kill_families(partial(_servers_of, folder, ours))
                removed.append(folder.name)
            elif only_ours(folder) and _end(folder):
                removed.append(folder.name)
    return tuple(removed)


def _is_gone(folder: Path) -> bool:
    try:
        folder.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # hidden from us, which proves nothing
        return False
    return False


def _end(folder: Path) -> bool:
    """Remove a lab if nobody looks after it, and tell whether it was so."""
    plain, patroni = state.load(folder), patroni_state.load(folder)
    if plain is not None and _is_abandoned(plain):
        with state.locked(folder, timeout_s=0):
            ending.remove(folder)
        return True
    if patroni is not None and _is_abandoned(patroni):
        patroni_processes.remove(folder, patroni.scope)
        return True
    return False


def _is_abandoned(lab: LabState | PatroniState) -> bool:
    return (
        lab.owner is not None
        and not processes.alive(lab.owner)
        and not processes.alive(lab.watcher)
    )


def _servers_of(folder: Path, ours: frozenset[int]) -> tuple[Process, ...]:
    return _running(ours).get(folder, ())


def _running(ours: frozenset[int]) -> dict[Path, tuple[Process, ...]]:
    """Return the folders of this user's labs that run here, and their servers.

    A folder may be gone.

    Args:
        ours: the accounts (user ids) that this user's servers run as.
    """
    found: dict[Path, tuple[Process, ...]] = {}
    for pid in processes.pids():
        folder = _folder_told(processes.arguments_of(pid))
        if folder is None:
            continue
        process = processes.identify(pid)
        if (
            process is not None
            and processes.account_of(pid) in ours
            and _sees_what_we_see(pid)
            # What was read last was said of the same process as what was read first.
            and _folder_told(processes.arguments_of(pid)) == folder
            and processes.alive(process)
        ):
            found[folder] = (*found.get(folder, ()), process)
    return found


def _folder_told(said: list[str]) -> Path | None:
    """Return the lab's folder that a command line names as authkit does, if one does.

    A server of somebody else's is no lab.
    """
    for flag, value in itertools.pairwise(said):
        own = Path(value).parent
        folder = own if flag == "patroni" else own.parent
        if folder.parent.name != "labs" or not folder.is_absolute():
            continue
        if flag == "-D" and f"config_file={own / 'postgresql.conf'}" in said:
            return folder
        if (
            flag in patroni_processes.TELL_A_PATH
            and folder.parent.parent.name == "patroni"
        ):
            return folder
    return None


def _sees_what_we_see(pid: int) -> bool:
    """Tell whether a path and a pid mean to that process what they mean to us."""
    try:
        return all(
            Path(f"/proc/{pid}/ns/{space}").samefile(f"/proc/self/ns/{space}")
            for space in _SPACES
        )
    except OSError:  # it has ended, or belongs to another user
        return False
