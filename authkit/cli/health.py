"""`authkit health`: is the service healthy, node by node, and what to do if not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authkit.cli.showing import print_findings

if TYPE_CHECKING:
    from authkit.ops.health import Health
    from authkit.settings import Settings


def health(
    watch: Annotated[
        float | None,
        typer.Option("--watch", min=0.2, help="Look again every so many seconds."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--json", help="Write the figures there; - is standard output."),
    ] = None,
    env_file: Annotated[
        Path, typer.Option("--env-file", help="File of NAME=value lines to read.")
    ] = Path(".env"),
) -> None:
    """Ask every node how it is: exit 0 healthy, 1 degraded, 2 down."""
    from authkit.ops.health import look
    from authkit.settings import Settings

    settings = Settings.load(env_file).require_database()
    if watch is not None:
        _watch(settings, watch)
    found = look(settings)
    if to != "-":
        _show(found)
    if to is not None:
        from authkit.ops.health.reporting import report

        report(found).write_json(to)
    raise typer.Exit(found.exit_code)


def _show(found: Health) -> None:
    print_findings(found.findings)
    typer.echo(f"{found.condition.value}, asked in {1000 * found.seconds:.0f} ms")


def _watch(settings: Settings, every_s: float) -> None:
    import time

    from rich.console import Console

    from authkit.ops.health import look

    console = Console()
    while True:
        found = look(settings)
        console.clear()
        typer.echo(f"{found.at:%Y-%m-%d %H:%M:%S} UTC, every {every_s:g} s")
        _show(found)
        time.sleep(every_s)  # the pace that was asked for
