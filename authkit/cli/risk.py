"""`authkit risk`: evaluate the models; rescore what was logged; keep the counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from authkit.evaluation import Case

app = typer.Typer(
    help="Login risk: evaluate models, rescore history, keep the counts.",
    no_args_is_help=True,
)

_WORLDS = typer.Option([101, 102, 103], help="Seeds of the worlds.")
_RBA = typer.Option(None, help="CSV of the published data set, instead of a world.")
_JSON = typer.Option(None, "--json", help="Write the figures there; - is the output.")


@app.command()
def evaluate(
    world: list[int] = _WORLDS,
    users: int = typer.Option(2_500, help="People in each world."),
    days: int = typer.Option(182, help="Days of each world."),
    attacks: float = typer.Option(60.0, help="How many more campaigns than usual."),
    activity: float = typer.Option(8.0, help="How much more often people log in."),
    churn: float = typer.Option(1.0, help="How much more often they change networks."),
    rba: Path | None = _RBA,
    ceiling: bool = typer.Option(True, help="Train the supervised ceiling."),
    resamples: int = typer.Option(200, min=2, help="Bootstrap resamples."),
    json_file: str | None = _JSON,
) -> None:
    """Compare the risk models by the protocol of authkit/evaluation/PROTOCOL.md."""
    import time
    from datetime import UTC, datetime

    from authkit.cli.showing import progress
    from authkit.evaluation import collect, reporting
    from authkit.evaluation import evaluate as compare
    from authkit.evaluation import rba as published
    from authkit.figures import Report
    from authkit.workload import World

    started, began = datetime.now(UTC), time.perf_counter()
    end = datetime(2026, 11, 1, tzinfo=UTC)
    with progress() as show:
        cases: list[list[Case]]
        if rba is not None:
            cases = [published.read(rba, show)]
        else:
            cases = [
                collect(
                    World(
                        seed=seed,
                        users=users,
                        days=days,
                        end=end,
                        attacks=attacks,
                        activity=activity,
                        churn=churn,
                    ),
                    show,
                )
                for seed in world
            ]
    found = compare(cases, supervised=ceiling, resamples=resamples)
    synthetic = rba is None
    report = Report(
        "risk evaluate",
        started,
        time.perf_counter() - began,
        tuple(reporting.figures(found, goals=synthetic and ceiling)),
        extra=reporting.details(found)
        | {"synthetic": synthetic, "worlds": list(world) if synthetic else []},
    )
    if json_file != "-":
        where = "synthetic worlds" if synthetic else "the published data set"
        typer.echo(
            f"Results on {where}: AUC, interval, TPR at 1, 5 and 10 % asked again."
        )
        for line in reporting.lines(found):
            typer.echo(line)
        if reporting.counts(found) is False:
            typer.echo("The ceiling is not of the asked hardness: this does not count.")
        for figure in report.figures:
            if figure.holds is False:
                typer.echo(
                    f"missed: {figure.name}: {figure.value} (goal {figure.goal})"
                )
    if json_file is not None:
        report.write_json(json_file)
    raise typer.Exit(report.exit_code)
