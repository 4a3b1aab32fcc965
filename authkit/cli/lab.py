"""`authkit lab`: the embedded cluster from the command line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from authkit.cli.lab_env import give
from authkit.cli.lab_patroni import every, hold, named
from authkit.cli.lab_table import show_lab

app = typer.Typer(
    help="A real PostgreSQL primary with streaming replicas, on loopback, in seconds.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Option("--name", "-n", help="The lab's name.")]
Dir = Annotated[
    Path | None,
    typer.Option(
        "--dir", help="State folder; default: AUTHKIT_STATE_DIR, or per user."
    ),
]
Node = Annotated[
    str,
    typer.Argument(
        help="node1, node2, ...; or primary, the only replica, or Patroni's etcd."
    ),
]


@app.command()
def up(
    name: Annotated[str, typer.Argument(help="The lab's name.")] = "default",
    replicas: Annotated[
        int, typer.Option(help="Replicas that follow the primary.")
    ] = 1,
    port: Annotated[
        int | None,
        typer.Option(help="The primary's port, replicas take the next; default: free."),
    ] = None,
    synchronous: Annotated[
        bool, typer.Option(help="Commits wait for a replica.")
    ] = True,
    degrade_after: Annotated[
        float | None,
        typer.Option(
            help="Seconds without a replica after which commits stop waiting."
        ),
    ] = None,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="In /dev/shm, where there is room.")
    ] = False,
    env_file: Annotated[
        Path | None,
        typer.Option(help="Write the variables there; other lines and keys stay."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="plain; or patroni, which runs until Ctrl-C.")
    ] = "plain",
    nodes: Annotated[int, typer.Option(help="Nodes of a Patroni lab.")] = 3,
    root: Dir = None,
) -> None:
    """Start a lab that stays until `down`; print the variables for .env."""
    if engine != "plain":
        hold(engine, name, nodes, env_file, root=root, in_memory=in_memory)
        return
    from authkit import lab as lab_room
    from authkit.errors import LabError

    existing = [lab for lab in every(root) if lab.name == name]
    if existing:
        lab = existing[0]
        status = lab.status()
        if status.condition != "up" or status.findings:
            raise LabError(
                f"lab {name} exists and needs care ({'; '.join(status.findings)}), "
                f"or remove it with `authkit lab down {name}`"
            )
        asked = port or status.nodes[0].port
        if status.nodes[0].port != asked:
            raise LabError(f"lab {name} is up already, and not on port {asked}")
        typer.echo(f"Lab {name} is up already.", err=True)
    else:
        began = time.monotonic()
        with _progress() as show:
            lab = lab_room.up(
                name,
                replicas,
                synchronous=synchronous,
                degrade_after_s=degrade_after,
                port=port,
                root=root,
                in_memory=in_memory,
                progress=show,
            )
        seconds = time.monotonic() - began
        typer.echo(f"Lab {name} is up after {seconds:.1f} s.", err=True)
    give(lab.env(), env_file)


@app.command()
def down(
    name: Annotated[str, typer.Argument(help="The lab's name.")] = "default",
    everything: Annotated[
        bool, typer.Option("--all", help="Every lab of the state folder.")
    ] = False,
    root: Dir = None,
) -> None:
    """Stop every process of a lab and remove it."""
    chosen = every(root) if everything else [named(name, root)]
    for lab in chosen:
        lab.down()
        typer.echo(f"Lab {lab.name} is gone.")


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(help="One lab; default: all of them.")
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write JSON there; - is the terminal.")
    ] = None,
    root: Dir = None,
) -> None:
    """Show every lab, its nodes, and what is wrong with them.

    Exit code 1 when something is.
    """
    from dataclasses import asdict

    labs = every(root) if name is None else [named(name, root)]
    found = [lab.status() for lab in labs]
    if json_file is not None:
        _write_json(
            json_file, json.dumps({"labs": [asdict(s) for s in found]}, indent=2)
        )
    if json_file != "-":
        if not found:
            typer.echo("There is no lab: `authkit lab up` starts one.")
        for each in found:
            show_lab(each)
    if any(each.findings for each in found):
        raise typer.Exit(1)


@app.command()
def promote(
    node: Annotated[
        str | None, typer.Argument(help="The replica; default: the furthest one.")
    ] = None,
    fence: Annotated[
        bool, typer.Option(help="Shut a running old primary down first.")
    ] = True,
    name: Name = "default",
    root: Dir = None,
) -> None:
    """Make a replica the primary."""
    chosen = named(name, root).promote(node, fence=fence)
    typer.echo(f"{chosen} is the primary.")


@app.command()
def switchover(
    node: Annotated[
        str | None, typer.Argument(help="The replica; default: the furthest one.")
    ] = None,
    name: Name = "default",
    root: Dir = None,
) -> None:
    """Hand the lead to a replica; the old primary follows it afterwards."""
    lab = named(name, root)
    old = lab.primary
    with _progress() as show:
        show(f"Handing over from {old}")
        chosen = lab.promote(node)
        lab.rejoin(old, progress=show)
    typer.echo(f"{chosen} is the primary, {old} a replica.")


@app.command()
def kill(
    node: Node = "primary",
    postgres: Annotated[
        bool, typer.Option("--postgres", help="PostgreSQL alone, not its Patroni.")
    ] = False,
    name: Name = "default",
    root: Dir = None,
) -> None:
    """Kill every process of a node, as a power cut would."""
    lab = named(name, root)
    count = lab.kill_postgres(node) if postgres else lab.kill(node)
    typer.echo(f"Killed {count} processes of {node}.")


@app.command()
def freeze(node: Node = "primary", name: Name = "default", root: Dir = None) -> None:
    """Stop every process of a node (SIGSTOP): its sockets stay, it says nothing."""
    count = named(name, root).freeze(node)
    typer.echo(f"Froze {count} processes of {node}.")


@app.command()
def thaw(node: Node = "primary", name: Name = "default", root: Dir = None) -> None:
    """Resume a frozen node."""
    count = named(name, root).thaw(node)
    typer.echo(f"Resumed {count} processes of {node}.")


@app.command()
def stop(node: Node = "primary", name: Name = "default", root: Dir = None) -> None:
    """Shut a node down cleanly."""
    named(name, root).stop(node)
    typer.echo(f"{node} is down.")


@app.command()
def start(node: Node = "primary", name: Name = "default", root: Dir = None) -> None:
    """Start a node that is down as what it was."""
    named(name, root).start(node)
    typer.echo(f"{node} is up.")


@app.command()
def rejoin(node: Node, name: Name = "default", root: Dir = None) -> None:
    """Bring a node back as a replica; what only it wrote is discarded."""
    with _progress() as show:
        done = named(name, root).rejoin(node, progress=show)
    if done.reason is not None:
        typer.echo(f"A cheaper way failed: {done.reason}.", err=True)
    typer.echo(f"{done.node} is a replica again ({done.how}, {done.seconds:.1f} s).")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def psql(
    context: typer.Context,
    node: Annotated[
        str, typer.Option("--node", help="node1, ...; primary or replica.")
    ] = "primary",
    name: Name = "default",
    root: Dir = None,
) -> None:
    """Open psql on a node; further arguments are psql's, as in `-c "SELECT 1"`."""
    command, variables = named(name, root).psql_command(node)
    os.execve(command[0], [*command, *context.args], {**os.environ, **variables})  # noqa: S606 # psql, found by the lab


@app.command()
def logs(
    node: Node = "primary",
    lines: Annotated[int, typer.Option(help="How many of the last lines.")] = 50,
    name: Name = "default",
    root: Dir = None,
) -> None:
    """Show the end of a node's log."""
    typer.echo(named(name, root).logs(node, lines=lines))


@app.command()
def reset(
    name: Name = "default",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    root: Dir = None,
) -> None:
    """Make a lab as new: no data, same ports, same password."""
    from authkit.errors import InvalidInput
    from authkit.lab import Lab

    lab = named(name, root)
    if not isinstance(lab, Lab):
        raise InvalidInput(
            f"{name} is a Patroni lab: `authkit lab down {name}` ends it, and"
            " `authkit lab up --engine patroni` starts a new one"
        )
    if not yes:
        typer.confirm(f"Remove all data of lab {name}?", abort=True)
    with _progress() as show:
        lab.reset(progress=show)
    typer.echo(f"Lab {name} is as new.")


@contextmanager
def _progress() -> Generator[Callable[[str], None]]:
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("Beginning") as spinner:

        def show(step: str) -> None:
            spinner.update(step)
            if not console.is_terminal:
                console.print(step)

        yield show


def _write_json(target: str, text: str) -> None:
    from authkit.errors import InvalidInput

    if target == "-":
        typer.echo(text)
        return
    try:
        Path(target).write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise InvalidInput(f"cannot write {target}: {exc.strerror}") from exc
