"""Find, stop, resume and kill every process of one server, read from /proc.

A server's postmaster is known by its `-D` argument and its children by the
`cluster_name` in their titles: both can be read without ptrace rights, and both
outlive a parent that was killed, so an orphan is found as well.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
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
    return fields is not None and fields[0] == "T" and int(fields[19]) == (
        process.started
    )


def of_server(data: Path, cluster_name: str) -> tuple[Process, ...]:
    """Return every process of a server, postmaster first; programs on its data too."""
    found: list[tuple[bool, Process]] = []
    for pid in _pids():
        arguments = _arguments(pid)
        if not arguments:
            continue
        head = arguments[0]
        child = head.startswith(f"postgres: {cluster_name}: ")
        holder = any(
            flag in {"-D", "--pgdata", "--target-pgdata"} and value == str(data)
            for flag, value in zip(arguments, arguments[1:], strict=False)
        )
        if (child or holder) and (process := identify(pid)) is not None:
            found.append((child, process))
    found.sort(key=lambda pair: (pair[0], pair[1].started, pair[1].pid))
    return tuple(process for _, process in found)


def kill_all(data: Path, cluster_name: str, *, deadline_s: float = 10.0) -> int:
    """Kill every process of a server as a power cut would; return how many.

    The postmaster is stopped first, so that it neither reacts to its children's
    death nor starts new ones.
    """
    end = time.monotonic() + deadline_s
    killed: set[Process] = set()
    while processes := of_server(data, cluster_name):
        for process in processes:
            _signal(process, signal.SIGSTOP)
        for process in of_server(data, cluster_name):
            _signal(process, signal.SIGKILL)
            killed.add(process)
        if time.monotonic() > end:
            raise LabError(
                f"processes {_names(processes)} do not end: they may wait for a disk"
            )
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


def _pids() -> Iterator[int]:
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            yield int(entry.name)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(") ")[2].split()


def _arguments(pid: int) -> list[str]:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return [os.fsdecode(part) for part in raw.rstrip(b"\0").split(b"\0")]


def _names(processes: tuple[Process, ...]) -> str:
    return ", ".join(str(process.pid) for process in processes)
