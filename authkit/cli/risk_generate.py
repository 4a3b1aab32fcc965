"""`authkit risk generate`: how fast a world is made, how like the published data."""

from __future__ import annotations

from typing import Annotated

import typer


def generate(
    users: Annotated[int, typer.Option(min=1, help="People with an account.")] = 50_000,
    days: Annotated[int, typer.Option(min=1, help="Days of history.")] = 60,
    seed: Annotated[int, typer.Option(help="Which world.")] = 1,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the figures there.")
    ] = None,
) -> None:
    """Write a synthetic world into a server of its own; compare published data."""
    from authkit.cli.showing import progress
    from authkit.evaluation.generating import generate as run

    with progress() as show:
        report = run(users=users, days=days, seed=seed, progress=show)
    if json != "-":
        typer.echo("A synthetic world, beside the published data set.")
        for made in report.figures:
            goal = "" if made.goal is None else f" (goal {made.goal})"
            typer.echo(f"{made.name}: {made.value} {made.unit}".rstrip() + goal)
    if json is not None:
        report.write_json(json)
    raise typer.Exit(report.exit_code)
