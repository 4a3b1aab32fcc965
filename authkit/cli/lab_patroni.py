"""Labs of either engine by name, and `authkit lab up --engine patroni`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from authkit.cli.ending import tidy_when_told
from authkit.cli.lab_env import give

if TYPE_CHECKING:
    from authkit.lab import Lab
    from authkit.lab.patroni import PatroniLab


def hold(
    engine: str,
    name: str,
    nodes: int,
    env_file: Path | None,
    *,
    root: Path | None,
    in_memory: bool,
) -> None:
    """Run the cluster, print the variables and each change of roles, until Ctrl-C.

    Other commands find it by its name meanwhile.

    Raises:
        InvalidInput: there is no such engine, or the file cannot be written.
        LabError: a lab of this name exists, or the cluster did not come up.
    """
    from authkit.errors import InvalidInput, LabError
    from authkit.lab import labs
    from authkit.lab.patroni_starting import patroni_cluster

    if engine != "patroni":
        raise InvalidInput(f"there is no engine {engine!r}: plain or patroni")

    if any(lab.name == name for lab in labs(root=root)):
        raise LabError(
            f"lab {name} exists already: take another name, or remove it with "
            f"`authkit lab down {name}`"
        )

    def tell(step: str) -> None:
        typer.echo(f"{step} ...", err=True)

    tidy_when_told()
    with patroni_cluster(
        nodes, name=name, root=root, in_memory=in_memory, progress=tell
    ) as lab:
        give(lab.env(), env_file)
        typer.echo("Ctrl-C ends it; `authkit lab status` looks at it.", err=True)
        shown = ""
        while lab.folder.exists():  # until `authkit lab down`, where that comes first
            try:
                now = "; ".join(map(str, lab.members()))
            except LabError as exc:
                now = str(exc)
            if now != shown:
                typer.echo(now, err=True)
                shown = now
            time.sleep(1)  # the pace of what is shown


def every(root: Path | None) -> tuple[Lab | PatroniLab, ...]:
    """Return every lab of a state folder, of either engine."""
    from authkit.lab import labs
    from authkit.lab.patroni_starting import patroni_labs

    return (*labs(root=root), *patroni_labs(root=root))


def named(name: str, root: Path | None) -> Lab | PatroniLab:
    """Return a lab of either engine by name.

    Raises:
        LabError: there is none.
    """
    from authkit.lab import find

    for lab in every(root):
        if lab.name == name:
            return lab
    return find(name, root=root)
