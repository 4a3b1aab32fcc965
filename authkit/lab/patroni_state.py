"""What is known of a Patroni lab between two commands; who leads, Patroni says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from authkit.errors import LabError
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
    path = folder / _FILE
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return _parsed(raw)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LabError(f"{path} cannot be read: {exc.strerror}") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise LabError(
            f"{path} is damaged, or was written by another version of authkit"
        ) from exc


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
