"""What is known of a lab between two commands: one JSON file, replaced whole."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from authkit.errors import InvalidInput, LabError
from authkit.lab.processes import Process

FORMAT = 1
StateT = TypeVar("StateT")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class NodeState:
    """One server: its name, its port and the node it follows (None: it leads)."""

    name: str
    port: int
    follows: str | None = None


@dataclass(frozen=True, slots=True)
class LabState:
    """One lab as its file says; `owner` is the process it must not outlive."""

    name: str
    token: str
    created: str
    bindir: str
    version: str
    account: str
    password: str = field(repr=False)
    sockets: str
    primary: str
    nodes: tuple[NodeState, ...]
    synchronous: bool
    degrade_after_s: float | None = None
    degraded: bool = False
    ready: bool = False
    owner: Process | None = None
    watcher: Process | None = None
    config: tuple[tuple[str, str], ...] = ()
    format: int = FORMAT

    def node(self, name: str) -> NodeState:
        """Return a node by name, or by its role while only one has it.

        Raises:
            LabError: there is none, or the role does not name one node.
        """
        if name == "primary":
            name = self.primary
        elif name == "replica":
            replicas = [n.name for n in self.nodes if n.follows == self.primary]
            if len(replicas) != 1:
                raise LabError(
                    f"the lab has {len(replicas)} replicas: name one of its nodes, "
                    f"{', '.join(n.name for n in self.nodes)}"
                )
            name = replicas[0]
        for node in self.nodes:
            if node.name == name:
                return node
        raise LabError(
            f"lab {self.name} has no node {name!r}: it has "
            f"{', '.join(n.name for n in self.nodes)}"
        )

    def role(self, name: str) -> str:
        """Return `primary`, `replica`, or `detached` for a node that must rejoin."""
        if name == self.primary:
            return "primary"
        return "replica" if self.node(name).follows == self.primary else "detached"

    def following(self, name: str, upstream: str | None) -> LabState:
        """Return the state in which a node follows another one, or none."""
        nodes = tuple(
            replace(n, follows=upstream) if n.name == name else n for n in self.nodes
        )
        return replace(self, nodes=nodes)


def check_name(name: str) -> str:
    """Return a lab's name, or refuse it.

    Raises:
        InvalidInput: it is not 1 to 31 of a-z, 0-9 and dashes.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidInput(
            f"{name!r} cannot name a lab: use 1 to 31 of a-z, 0-9 and dashes"
        )
    return name


def load(folder: Path) -> LabState | None:
    """Read a lab's state; None when there is no file.

    Raises:
        LabError: the file cannot be read or is not ours.
    """
    return read_file(folder / "lab.json", _parsed)


def read_file(path: Path, parse: Callable[[dict[str, Any]], StateT]) -> StateT | None:
    """Read a file of JSON; None when there is none.

    Args:
        path: what `replace_file` wrote.
        parse: makes a state of it; raises `ValueError`, `KeyError` or `TypeError`
            where it is none.

    Raises:
        LabError: the file cannot be read or is not ours.
    """
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LabError(f"{path} cannot be read: {exc.strerror}") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise LabError(
            f"{path} is damaged, or was written by another version of authkit"
        ) from exc


def _parsed(raw: dict[str, Any]) -> LabState:
    if raw["format"] != FORMAT:
        raise ValueError(raw["format"])
    compound: dict[str, Any] = {
        "nodes": tuple(NodeState(**node) for node in raw["nodes"]),
        "owner": Process(**raw["owner"]) if raw["owner"] else None,
        "watcher": Process(**raw["watcher"]) if raw["watcher"] else None,
        "config": tuple((name, value) for name, value in raw["config"]),
    }
    return LabState(**{**raw, **compound})


def save(folder: Path, state: LabState) -> None:
    """Replace a lab's state file at once; only its owner can read it."""
    replace_file(folder / "lab.json", asdict(state))


def replace_file(path: Path, what: dict[str, Any]) -> None:
    """Replace a file of JSON at once; only its owner can read it."""
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(what, file, indent=1)
    Path(staged).replace(path)


@contextlib.contextmanager
def locked(folder: Path, *, timeout_s: float = 90.0) -> Generator[None]:
    """Hold the lab for one operation; others wait their turn.

    Raises:
        LabError: the lab is gone, or another command held it all the time.
    """
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise LabError(f"there is no lab {folder.name}") from None  # its path is noise
    except OSError as exc:
        raise LabError(f"lab {folder.name} is not yours: {exc.strerror}") from exc
    try:
        end = time.monotonic() + timeout_s
        while not _lock(handle):
            if time.monotonic() > end:
                raise LabError(f"another command is at work on lab {folder.name}")
            time.sleep(0.01)
        if not _same(handle, folder / "lock"):
            raise LabError(f"lab {folder.name} was removed by another command")
        yield
    finally:
        os.close(handle)


def busy(folder: Path) -> bool:
    """Tell whether a command is at work on a lab now."""
    try:
        with locked(folder, timeout_s=0):
            return False
    except LabError:
        return folder.exists()


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
