"""`authkit demo`: one command from nothing to a failover under load, drawn."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from authkit.demo.tour import Outcome

_NEXT = {
    "authkit lab up": "a cluster of your own, to kill and promote by hand",
    "authkit load": "load it with locust and judge it by goals",
    "authkit notebook": "the same data in JupyterLab",
    "authkit example": "the Python API, step by step",
}


def demo(
    seconds: Annotated[
        float, typer.Option(min=4, max=600, help="How long the load measures.")
    ] = 20.0,
    users: Annotated[
        int, typer.Option(min=1, max=200, help="Simulated users at once.")
    ] = 12,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the cluster running afterwards.")
    ] = False,
    json: Annotated[
        str | None,
        typer.Option(
            help="File for the figures; - is standard output.", metavar="FILE"
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir", help="Folder for the report; default: results/demo-<time>."
        ),
    ] = None,
) -> None:
    """Start a primary and a replica, load them, kill the primary, draw what happened.

    Everything runs on this machine and is removed afterwards; only the report stays.
    """
    from rich.console import Console

    from authkit.cli.extras import want
    from authkit.demo import tour
    from authkit.demo.screen import Screen

    want("locust", "hdrh", "altair", "vl_convert", "jinja2")  # not after the seeding
    # What is killed politely cleans up as well.
    signal.signal(signal.SIGTERM, _end)
    console = Console(stderr=json == "-", soft_wrap=True)
    outcome = tour.run(
        tour.Options(seconds=seconds, users=users, keep=keep, folder=folder),
        Screen(console),
    )
    if json is not None:
        outcome.report.write_json(json)
    _show(console, outcome)
    raise typer.Exit(outcome.exit_code)


def _end(_number: int, _frame: object) -> None:
    sys.exit(143)


def _show(console: Console, outcome: Outcome) -> None:
    from rich.markup import escape
    from rich.table import Table

    from authkit.cli.showing import typed

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    names = {
        "operations": "operations",
        "errors": "of them failed",
        "reads_failed": "failed reads",
        "outage_ms": "longest time without a write (ms)",
        "acknowledged_writes": "acknowledged writes",
        "acknowledged_writes_lost": "of them lost",
    }
    for found in outcome.report.figures:
        if found.name not in names:
            continue
        value = "not seen" if found.value is None else f"{found.value:,}"
        if found.holds is not None:
            value = f"[{'green' if found.holds else 'red'}]{value}[/]"
        goal = f"[dim]goal {found.goal}[/]" if found.goal else ""
        table.add_row(names[found.name], value, goal)
    console.print()
    console.print(table)
    if outcome.problem is not None:
        console.print(f"\n[red]This run proves nothing:[/] {escape(outcome.problem)}")
    console.print(f"\nReport    {escape(str(outcome.html))}", highlight=False)
    for picture in outcome.pictures:
        console.print(f"Picture   {escape(str(picture))}", highlight=False)
    if outcome.env is not None:
        console.print(f"\nThe cluster {outcome.lab} is still running:", highlight=False)
        for name, value in outcome.env.items():
            console.print(f"  export {name}='{escape(value)}'", highlight=False)
        down = typed(f"authkit lab down {outcome.lab}")
        console.print(f"  {down}   ends it", highlight=False)
    console.print("\nWhat to try next")
    for command, what in _NEXT.items():
        console.print(f"  {typed(f'{command:<16}')}  {what}", highlight=False)
