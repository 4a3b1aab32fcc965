"""`authkit bench budgets`: what a change costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from authkit.figures import Report

Json = Annotated[
    str | None,
    typer.Option(help="File for the figures; - is standard output.", metavar="FILE"),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", "-k", help="One operation; may be repeated.", metavar="NAME"
    ),
]


def mount(app: typer.Typer) -> None:
    """Add the commands to their group."""
    for command in (budgets,):
        app.command()(command)


def budgets(
    update: Annotated[
        bool, typer.Option("--update", help="Write what was counted to the file.")
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(
            help="Count this revision too, here and now, and compare with that.",
            metavar="REVISION",
        ),
    ] = None,
    only: Only = None,
    json: Json = None,
) -> None:
    """Count what each operation costs: round trips, statements, buffers, WAL, plan.

    Exit code 1 when one costs more than bench/budgets.toml allows, if that was counted
    in an environment like this one; with --base, than the base.
    """
    from authkit.cli.showing import progress
    from authkit.harness.gate import counting

    with progress() as show:
        report, lines = counting.run(
            update=update, base=base, only=tuple(only or ()), progress=show
        )
    _print(lines, report, json)


def _print(lines: tuple[str, ...], report: Report, json: str | None) -> None:
    if json is not None:
        report.write_json(json)
    for line in lines:
        typer.echo(line, err=json == "-")
    raise typer.Exit(report.exit_code)
