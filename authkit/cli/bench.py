"""`authkit bench`: measurements beside others and beside earlier versions."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authkit.cli import bench_gate
from authkit.cli.bench_results import results

if TYPE_CHECKING:
    from authkit.figures import Report

app = typer.Typer(
    help="Measure beside other stacks, and beside earlier versions.",
    no_args_is_help=True,
)
peers = typer.Typer(
    help="The same work in other stacks, in one run.", no_args_is_help=True
)
app.add_typer(peers, name="peers")
bench_gate.mount(app)
app.command()(results)


@peers.command("cluster")
def peers_cluster(
    rounds: Annotated[
        int, typer.Option(min=3, help="Of the interleaved cost of a connection.")
    ] = 200,
    json: Annotated[
        str | None,
        typer.Option(
            help="File for the figures; - is standard output.", metavar="FILE"
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="File for the table.", metavar="FILE")
    ] = None,
) -> None:
    """Failover: authkit, hasql, libpq's list of hosts, SQLAlchemy with pre-ping.

    What taking a connection costs, interleaved; then one frozen primary for all.
    """
    from authkit.cli.showing import progress
    from authkit.harness.peers import cluster

    signal.signal(signal.SIGTERM, _end)
    with progress() as show:
        report = cluster.run(rounds=rounds, progress=show)
    _tabled(report, json, markdown)


@peers.command("hot")
def peers_hot(
    seconds: Annotated[
        float, typer.Option(min=1, max=600, help="Of one arm in one round.")
    ] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="Of all arms in turn.")] = 3,
    sessions: Annotated[
        int,
        typer.Option(
            min=1000, help="And as many attempts, and a tenth as many limiter keys."
        ),
    ] = 100_000,
    json: Annotated[
        str | None,
        typer.Option(
            help="File for the figures; - is standard output.", metavar="FILE"
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="File for the table.", metavar="FILE")
    ] = None,
) -> None:
    """Sessions, attempts and limits: authkit, pgbench, drivers, SQLAlchemy, Drizzle.

    Every figure is a ratio of two arms on the same server and the same rows.
    """
    from authkit.cli.showing import progress
    from authkit.harness.peers import hot
    from authkit.harness.peers.hot_world import Sizes

    signal.signal(signal.SIGTERM, _end)
    with progress() as show:
        report = hot.run(
            seconds=seconds,
            rounds=rounds,
            sizes=Sizes(sessions, sessions, sessions // 10),
            progress=show,
        )
    _tabled(report, json, markdown)


@peers.command("growth")
def peers_growth(
    sessions: Annotated[
        int, typer.Option(min=2000, help="In the larger table.")
    ] = 1_000_000,
    over: Annotated[
        int, typer.Option(min=1000, help="In the smaller table.")
    ] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="Of both tables in turn.")] = 15,
    json: Annotated[
        str | None,
        typer.Option(
            help="File for the figures; - is standard output.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Validate in a large table over validate in a small one, in turns."""
    from authkit.cli.showing import progress
    from authkit.errors import InvalidInput
    from authkit.harness.peers import hot_growth

    if over >= sessions:
        raise InvalidInput("the smaller table must be smaller than the larger one")
    signal.signal(signal.SIGTERM, _end)
    with progress() as show:
        report = hot_growth.run(
            sessions=sessions, over=over, rounds=rounds, progress=show
        )
    _shown(report, json)


def _shown(report: Report, json: str | None) -> None:
    """Write a report, print its figures beside their goals, and end with its code."""
    from rich.console import Console
    from rich.table import Table

    if json is not None:
        report.write_json(json)
    table = Table("figure", "value", "unit", "goal", box=None, header_style="dim")
    for found in report.figures:
        value = "not measured" if found.value is None else str(found.value)
        if isinstance(found.value, float):
            value = f"{found.value:.4g}"
        if found.holds is not None:
            value = f"[{'green' if found.holds else 'red'}]{value}[/]"
        table.add_row(found.name.replace("_", " "), value, found.unit, found.goal or "")
    Console(stderr=json == "-", soft_wrap=True).print(table)
    raise typer.Exit(report.exit_code)


@peers.command("frames")
def peers_frames(
    people: Annotated[int, typer.Option(min=10, help="Of the seeded world.")] = 5000,
    days: Annotated[int, typer.Option(min=1, help="Of the seeded world.")] = 14,
    rounds: Annotated[int, typer.Option(min=3, help="Of all arms in turn.")] = 7,
    json: Annotated[
        str | None,
        typer.Option(
            help="File for the figures; - is standard output.", metavar="FILE"
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="File for the table.", metavar="FILE")
    ] = None,
) -> None:
    """Attempts to pandas: authkit, ADBC, read_sql, psycopg, COPY; in turns.

    Every figure is a ratio to the driver alone, which does the least that can be done.
    """
    from authkit.cli.showing import progress
    from authkit.harness.peers import frames

    signal.signal(signal.SIGTERM, _end)
    with progress() as show:
        report = frames.run(people=people, days=days, rounds=rounds, progress=show)
    _tabled(report, json, markdown)


def _tabled(report: Report, json: str | None, markdown: Path | None) -> None:
    """Write a report and its table, print the table, and end with its exit code."""
    from authkit.errors import InvalidInput

    table = str(report.extra["table"])
    if json is not None:
        report.write_json(json)
    if markdown is not None:
        try:
            markdown.write_text(table, encoding="utf-8")
        except OSError as exc:
            raise InvalidInput(f"cannot write {markdown}: {exc.strerror}") from exc
    typer.echo(table, err=json == "-")
    for found in report.figures:
        if found.holds is False:
            typer.echo(f"missed: {found.name} {found.value} ({found.goal})", err=True)
    raise typer.Exit(report.exit_code)


def _end(_number: int, _frame: object) -> None:
    sys.exit(143)
