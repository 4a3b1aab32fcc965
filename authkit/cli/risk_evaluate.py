"""`authkit risk evaluate`: the models compared, on worlds or on published logins."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from authkit.evaluation import Case
    from authkit.figures import Figure

_WORLDS = typer.Option([201, 202, 203], help="Seeds of the worlds.")
_SWEEP = typer.Option(
    [], help="Run the first world again with so many times the churn."
)
_PICTURE = typer.Option(None, "--draw", help="Draw it: .png, .svg, .html or .json.")
_RBA = typer.Option(None, help="CSV of the published data set, instead of a world.")
_JSON = typer.Option(None, "--json", help="Write the figures there; - is the output.")


def evaluate(
    world: list[int] = _WORLDS,
    users: int = typer.Option(2_500, help="People in each world."),
    days: int = typer.Option(182, help="Days of each world."),
    attacks: float = typer.Option(60.0, help="How many more campaigns than usual."),
    activity: float = typer.Option(8.0, help="How much more often people log in."),
    churn: float = typer.Option(1.0, help="How much more often they change networks."),
    sweep: list[float] = _SWEEP,
    rba: Path | None = _RBA,
    ceiling: bool = typer.Option(True, help="Train the supervised ceiling."),
    resamples: int = typer.Option(200, min=2, help="Bootstrap resamples."),
    picture: Path | None = _PICTURE,
    json_file: str | None = _JSON,
) -> None:
    """Compare the risk models by the protocol of authkit/evaluation/PROTOCOL.md."""
    import time
    from dataclasses import replace

    from authkit.cli.showing import progress
    from authkit.errors import InvalidInput
    from authkit.evaluation import collect, reporting
    from authkit.evaluation import evaluate as compare
    from authkit.evaluation import rba as published
    from authkit.figures import Report
    from authkit.workload import World

    if rba is not None and sweep:
        raise InvalidInput(
            "the churn of published logins is what it is: no sweep of it"
        )
    started, began = datetime.now(UTC), time.perf_counter()
    end = datetime(2026, 11, 1, tzinfo=UTC)
    with progress() as show:
        cases: list[list[Case]]
        swept: list[list[list[Case]]] = []
        figures: list[Figure] = []
        if rba is not None:
            cases = [published.read(rba, show)]
        else:
            worlds = [
                World(
                    seed=seed,
                    users=users,
                    days=days,
                    end=end,
                    attacks=attacks,
                    activity=activity,
                    churn=churn,
                )
                for seed in world
            ]
            others = [replace(worlds[0], churn=churn * times) for times in sweep]
            cases = [collect(made, show) for made in worlds]
            swept = [[collect(made, show)] for made in others]
        found = compare(cases, supervised=ceiling, resamples=resamples, progress=show)
        for times, made in zip(sweep, swept, strict=True):
            again = compare(made, supervised=ceiling, resamples=2, progress=show)
            figures.extend(reporting.swept(again, times))
    synthetic = rba is None
    report = Report(
        "risk evaluate",
        started,
        time.perf_counter() - began,
        (*reporting.figures(found, goals=synthetic and ceiling), *figures),
        extra=reporting.details(found)
        | {"synthetic": synthetic, "worlds": list(world) if synthetic else []},
    )
    if json_file != "-":
        where = "synthetic worlds" if synthetic else "the published data set"
        typer.echo(
            f"Results on {where}: AUC, interval, partial AUC up to 5 %,"
            " TPR at 1, 5 and 10 % asked again."
        )
        for line in reporting.lines(found):
            typer.echo(line)
        if reporting.counts(found) is False:
            typer.echo("The ceiling is not of the asked hardness: this does not count.")
        for figure in figures:
            typer.echo(f"{figure.name}: {figure.value:.3f}")
        for figure in report.figures:
            if figure.holds is False:
                typer.echo(
                    f"missed: {figure.name}: {figure.value} (goal {figure.goal})"
                )
    if picture is not None:
        from authkit.analysis.picture import save
        from authkit.evaluation.drawing import draw

        save(draw(found, synthetic=synthetic), picture)
    if json_file is not None:
        report.write_json(json_file)
    raise typer.Exit(report.exit_code)
