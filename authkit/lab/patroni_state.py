"""What is known of a Patroni lab between two commands; who leads, Patroni says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from authkit.lab import state
from authkit.lab.patroni_configuration import Ports
from authkit.lab.processes import Process

FORMAT = 1
_FILE = "patroni.json"


@dataclass(frozen=True, slots=True)
class PatroniState:
    """A Patroni lab as its file says; `owner` is the process it must not outlive.

    The scope names the cluster in etcd and in the titles of its servers' processes: no
    other lab has it.
    """

    scope: str
    created: str
    bindir: str
    version: str
    account: str
    password: str = field(repr=False)
    store: int
    nodes: dict[str, Ports]
    owner: Process
    watcher: Process
    ready: bool = False
    format: int = FORMAT


def load(folder: Path) -> PatroniState | None:
    """Read a lab's state; None when there is no file.

    Raises:
        LabError: the file cannot be read or is not ours.
    """
    return state.read_file(folder / _FILE, _parsed)


def _parsed(raw: dict[str, Any]) -> PatroniState:
    if raw["format"] != FORMAT:
        raise ValueError(raw["format"])
    compound: dict[str, Any] = {
        "nodes": {name: Ports(**each) for name, each in raw["nodes"].items()},
        "owner": Process(**raw["owner"]),
        "watcher": Process(**raw["watcher"]),
    }
    return PatroniState(**{**raw, **compound})


def save(folder: Path, lab: PatroniState) -> None:
    """Replace a lab's state file at once; only its owner can read it."""
    state.replace_file(folder / _FILE, asdict(lab))
