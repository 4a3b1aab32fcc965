"""`authkit leakcheck`: does a secret come out anywhere it does not belong?"""

from __future__ import annotations

from typing import Annotated

import typer


def leakcheck(
    to: Annotated[
        str | None,
        typer.Option("--json", help="Write the figures there; - is standard output."),
    ] = None,
) -> None:
    """Issue every secret in a lab, then look for each in dumps, logs and errors."""
    from authkit.ops import leakcheck as room

    typer.echo("Issuing secrets in a throw-away lab, then looking ...", err=True)
    found = room.leakcheck()
    report = found.report()
    if to != "-":
        for leak in found.leaks:
            typer.secho(
                f"LEAK  {leak.place}: the {leak.canary}, {leak.form}",
                fg=typer.colors.RED,
            )
        for operation in found.untried:
            typer.secho(f"NOT TRIED  {operation}", fg=typer.colors.RED)
        typer.echo(
            f"{found.canaries} secrets, {found.places} places,"
            f" {found.searched_bytes / 1e6:,.1f} MB: {len(found.leaks)} leaks"
            f" ({found.seconds:.1f} s)."
        )
    if to is not None:
        report.write_json(to)
    raise typer.Exit(report.exit_code)
