"""Find, stop, resume and kill every process of one server, read from /proc.

A server's postmaster is known by its `-D` argument and its children by the
`cluster_name` in their titles: both can be read without ptrace rights, and both
outlive a parent that was killed, so an orphan is found as well.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from authkit.errors import LabError

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `started` (clock ticks since boot) tells a reused pid apart."""

    pid: int
    started: int


def identify(pid: int) -> Process | None:
    """Return the process with this pid, or None when there is none (or a zombie)."""
    fields = _stat(pid)
    if fields is None or fields[0] == "Z":
        return None
    return Process(pid, int(fields[19]))


def alive(process: Process | None) -> bool:
    """Tell whether this very process still runs."""
    return process is not None and identify(process.pid) == process


def stopped(process: Process) -> bool:
    """Tell whether the process was stopped by a signal."""
    fields = _stat(process.pid)
    return (
        fields is not None and fields[0] == "T" and int(fields[19]) == (process.started)
    )


def of_server(data: Path, cluster_name: str) -> tuple[Process, ...]:
    """Return every process of a server, postmaster first; programs on its data too."""
    return _of_data(lambda folder: folder == data, f"postgres: {cluster_name}: ")


def postmaster(pid: int, data: Path) -> Process | None:
    """Return the process with this pid if it holds that data folder."""
    if not _holds(arguments_of(pid), lambda folder: folder == data):
        return None
    return identify(pid)


def _of_data(
    wanted: Callable[[Path], bool], title: str | None = None
) -> tuple[Process, ...]:
    found: list[tuple[bool, Process]] = []
    for pid in pids():
        arguments = arguments_of(pid)
        child = (
            title is not None
            and arguments[:1] != []
            and (arguments[0].startswith(title))
        )
        holder = _holds(arguments, wanted)
        if (child or holder) and (process := identify(pid)) is not None:
            found.append((child, process))
    found.sort(key=lambda pair: (pair[0], pair[1].started, pair[1].pid))
    return tuple(process for _, process in found)


def _holds(arguments: list[str], wanted: Callable[[Path], bool]) -> bool:
    return any(
        flag == "-D" and wanted(Path(value))
        for flag, value in itertools.pairwise(arguments)
    )


def with_children(roots: Sequence[Process]) -> tuple[Process, ...]:
    """Return processes and all that descend from them, parents first."""
    parents: dict[int, list[int]] = {}
    for pid in pids():
        fields = _stat(pid)
        if fields is not None:
            parents.setdefault(int(fields[1]), []).append(pid)
    family = [process.pid for process in roots]
    for pid in family:  # it grows while it is walked
        family.extend(child for child in parents.get(pid, ()) if child not in family)
    found = (identify(pid) for pid in family)
    return tuple(process for process in found if process is not None)


def kill_all(data: Path, cluster_name: str) -> int:
    """Kill every process of a server as a power cut would; return how many.

    The postmaster is stopped first, so that it neither reacts to its children's
    death nor starts new ones.

    Raises:
        LabError: one does not end.
    """
    return _kill(lambda: of_server(data, cluster_name))


def kill_under(folder: Path) -> int:
    """Kill every program whose data folder lies below a folder; return how many.

    Their children go with them: a frozen one would not notice that it is alone.

    Raises:
        LabError: one does not end.
    """
    return kill_families(lambda: _of_data(lambda data: data.is_relative_to(folder)))


def kill_families(find: Callable[[], Sequence[Process]]) -> int:
    """Kill processes and all that descend from them; return how many.

    Args:
        find: returns those that run now; it is asked until there is none.

    Raises:
        LabError: one does not end.
    """
    return _kill(lambda: with_children(find()))


def _kill(find: Callable[[], tuple[Process, ...]], *, wait_s: float = 10.0) -> int:
    end = time.monotonic() + wait_s
    killed: set[Process] = set()
    while processes := find():
        for process in processes:
            _signal(process, signal.SIGSTOP)
        for process in find():
            _signal(process, signal.SIGKILL)
            killed.add(process)
        if time.monotonic() > end:
            names = ", ".join(str(process.pid) for process in processes)
            raise LabError(f"processes {names} do not end: they may wait for a disk")
        time.sleep(0.005)
    return len(killed)


def freeze_all(data: Path, cluster_name: str) -> int:
    """Stop (SIGSTOP) every process of a server; return how many."""
    frozen: set[Process] = set()
    while fresh := [p for p in of_server(data, cluster_name) if p not in frozen]:
        for process in fresh:
            _signal(process, signal.SIGSTOP)
            frozen.add(process)
    return len(frozen)


def thaw_all(data: Path, cluster_name: str) -> int:
    """Resume (SIGCONT) every process of a server, children first."""
    processes = of_server(data, cluster_name)
    for process in reversed(processes):
        _signal(process, signal.SIGCONT)
    return len(processes)


def hang_up(process: Process) -> None:
    """Send SIGHUP: a server reads its configuration again, a frozen one later."""
    _signal(process, signal.SIGHUP)


def end(process: Process | None, number: signal.Signals, *, wait_s: float) -> bool:
    """Send a signal and wait for the end; tell whether the process is gone."""
    if process is None:
        return True
    until = time.monotonic() + wait_s
    _signal(process, number)
    while alive(process):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def _signal(process: Process, number: signal.Signals) -> None:
    if alive(process):
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(process.pid, number)


def pids() -> Iterator[int]:
    """Return the number of every process."""
    for name in os.listdir(_PROC):  # noqa: PTH208 # thousands of paths for a number
        if name.isdigit():
            yield int(name)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # Its name stands before, and may be no text.
    return text.rpartition(b") ")[2].decode("ascii").split()


def account_of(pid: int) -> int | None:
    """Return the user id that a process runs as; None when it is gone, or has several.

    A program that changes its user (setuid) was told its arguments by another one. The
    owner of its folder in /proc says less: that is root once it forbids to be traced.
    """
    try:
        said = (_PROC / str(pid) / "status").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # Real, effective, saved and of the file system; a line break in a name is escaped.
    ids = set(said.partition(b"\nUid:")[2].partition(b"\n")[0].split())
    return int(ids.pop()) if len(ids) == 1 else None


def arguments_of(pid: int) -> list[str]:
    """Return a process's command line; empty when it is gone or not ours to read."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return [os.fsdecode(part) for part in raw.rstrip(b"\0").split(b"\0")]
