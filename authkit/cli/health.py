"""`authkit health`: is the service healthy, node by node, and what to do if not."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authkit.cli.showing import print_findings

if TYPE_CHECKING:
    from collections.abc import Generator

    from authkit.ops.health import Health
    from authkit.settings import Settings


def health(
    watch: Annotated[
        float | None,
        typer.Option("--watch", min=0.2, help="Look again every so many seconds."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            min=1,
            help="Ask so often and print what it takes; without DATABASE_URL a lab.",
        ),
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
    from authkit.errors import InvalidInput
    from authkit.ops.health import look
    from authkit.settings import Settings

    settings = Settings.load(env_file)
    if rounds is not None:
        if watch is not None:
            raise InvalidInput("--rounds ends and --watch does not: give one of them")
        raise typer.Exit(_measure(settings, rounds, to))
    settings = settings.require_database()
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


def _measure(settings: Settings, rounds: int, to: str | None) -> int:
    from authkit.cli.showing import print_figures
    from authkit.ops.health import look
    from authkit.ops.health.reporting import repeated

    with _some_nodes(settings) as nodes:
        report = repeated([look(nodes) for _ in range(rounds)])
    if to is not None:
        report.write_json(to)
    print_figures(report, err=to == "-")
    return report.exit_code


@contextmanager
def _some_nodes(settings: Settings) -> Generator[Settings]:
    """Yield the nodes that are set, or those of a lab that goes again."""
    if settings.database_url is not None:
        yield settings
        return
    from authkit import lab
    from authkit.ops.database import setup

    with lab.cluster(1, in_memory=True) as made:
        setup(made.url())
        made.wait_replayed()
        yield type(settings).load(
            None,
            database_url=made.url(),
            database_replica_urls=made.url(made.replicas[0]),
        )


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
