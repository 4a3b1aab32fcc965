"""`authkit lab up --engine patroni`: a Patroni cluster until Ctrl-C."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import typer

from authkit.cli.lab_env import give


def hold(
    engine: str,
    nodes: int,
    env_file: Path | None,
    *,
    root: Path | None,
    in_memory: bool,
) -> None:
    """Run the cluster, print the variables and each change of roles, until Ctrl-C.

    Raises:
        InvalidInput: there is no such engine, or the file cannot be written.
        LabError: the cluster did not come up.
    """
    from authkit.errors import InvalidInput, LabError
    from authkit.lab.patroni_starting import patroni_cluster

    if engine != "patroni":
        raise InvalidInput(f"there is no engine {engine!r}: plain or patroni")

    def tell(step: str) -> None:
        typer.echo(f"{step} ...", err=True)

    # Whatever asks it to end, its processes end first; a shell's `&` ignores Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with patroni_cluster(nodes, root=root, in_memory=in_memory, progress=tell) as lab:
        give(lab.env(), env_file)
        typer.echo("Ctrl-C ends it.", err=True)
        shown = ""
        while True:
            try:
                now = "; ".join(map(str, lab.members()))
            except LabError as exc:
                now = str(exc)
            if now != shown:
                typer.echo(now, err=True)
                shown = now
            time.sleep(1)  # the pace of what is shown
