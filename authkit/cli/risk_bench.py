"""`authkit risk bench`: what a score costs at login, on counters of any size."""

from __future__ import annotations

from typing import Annotated

import typer


def bench(
    attempts: Annotated[
        int, typer.Option(min=10, help="Completed logins that the counters hold.")
    ] = 100_000,
    users: Annotated[int, typer.Option(min=10, help="Of how many users.")] = 10_000,
    rate: Annotated[float, typer.Option(min=1, help="Scores a second.")] = 500.0,
    commit_rate: Annotated[
        float, typer.Option(min=1, help="Durable updates a second.")
    ] = 100.0,
    seconds: Annotated[
        float, typer.Option(min=1, help="Of each part of each round.")
    ] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Of all parts in turn.")] = 3,
    lab: Annotated[
        str | None,
        typer.Option(help="A standing lab to keep what was filled; made if absent."),
    ] = None,
    fill_only: Annotated[
        bool, typer.Option("--fill-only", help="Fill that lab and measure nothing.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the figures there.")
    ] = None,
) -> None:
    """Score at a rate, on counters of a size and of a tenth; commit beside pgbench.

    On a server of its own, which is removed unless --lab names one.
    """
    from authkit.cli.showing import progress
    from authkit.errors import InvalidInput
    from authkit.harness.scores import Asked, Size, run

    if fill_only and lab is None:
        raise InvalidInput("what is filled goes with its lab: name one with --lab")
    asked = Asked(rate, commit_rate, seconds, rounds)
    with progress() as show:
        report = run(Size(attempts, users), asked, show, lab=lab, fill_only=fill_only)
    if json != "-":
        for made in report.figures:
            goal = "" if made.goal is None else f" (goal {made.goal})"
            typer.echo(f"{made.name}: {made.value} {made.unit}{goal}")
    if json is not None:
        report.write_json(json)
    raise typer.Exit(report.exit_code)
