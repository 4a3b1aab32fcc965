"""`authkit risk`: evaluate the models; rescore what was logged; keep the counts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, TextIO

import typer

from authkit.cli.risk_bench import bench
from authkit.cli.risk_evaluate import evaluate
from authkit.cli.risk_generate import generate

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg

    from authkit.figures import Report

app = typer.Typer(
    help="Login risk: evaluate models, rescore history, keep the counts.",
    no_args_is_help=True,
)

app.command()(bench)
app.command()(evaluate)
app.command()(generate)

_MODELS = typer.Option(["mismatch", "hdir"], help="Models, side by side.")
_RATES = typer.Option([0.05], help="Logins that may be asked again, side by side.")
_ONLY = typer.Option([], help="Detectors; all of them unless said.")
_SINCE = typer.Option(..., help="From when on (UTC).")
_SCORES = typer.Option(None, help="Write each attempt's scores there, as CSV.")
_DETECT_SINCE = typer.Option(None, "--since", help="From when on (UTC).")
_LISTED = typer.Option(None, help="Your list of bad networks, one on each line.")
_WORLD = typer.Option(None, help="Seed of a synthetic world to search instead.")
_UNTIL = typer.Option(None, help="Until when (UTC); now unless said.")
_ENV = typer.Option(Path(".env"), "--env-file", help="File of NAME=value lines.")
_JSON = typer.Option(None, "--json", help="Write the figures there; - is the output.")


@app.command()
def replay(
    model: list[str] = _MODELS,
    since: datetime = _SINCE,
    until: datetime | None = _UNTIL,
    rate: list[float] = _RATES,
    scores: Path | None = _SCORES,
    env_file: Path = _ENV,
    json_file: str | None = _JSON,
) -> None:
    """Rescore history with models and rates side by side; repeat what was kept.

    Nothing is written, unless --scores names a file for every score.
    """
    import csv
    import time

    from authkit.errors import InvalidInput
    from authkit.figures import Report, figure
    from authkit.risk import model as named
    from authkit.risk.replay import replay as rescore

    if not all(0.0 < one < 1.0 for one in rate):
        raise InvalidInput("a rate lies between 0 and 1")
    if len(set(model)) < len(model) or len(set(rate)) < len(rate):
        raise InvalidInput("a model or a rate is named twice")
    started, began = datetime.now(UTC), time.perf_counter()
    models = [named(name) for name in model]
    rows: list[list[object]] = []

    def keep(
        id_: UUID, at: datetime, completed: bool, values: Sequence[object]
    ) -> None:
        if scores is not None:
            rows.append([id_, at.isoformat(), completed, *values])

    with _connected(env_file) as connection:
        found = rescore(connection, models, *_window(since, until), keep)
    if scores is not None:
        with _writable(scores) as file:
            table = csv.writer(file)
            table.writerow(["id", "occurred_at", "completed", *model])
            table.writerows(rows)
    made = [
        figure("attempts", found.attempts),
        figure("kept scores repeated bit for bit", found.repeated),
        figure("kept scores that differ", found.differing, goal=("==", 0)),
        figure("kept scores of other models or parameters", found.foreign),
    ]
    for each in found.models:
        made.append(figure(f"unscored, {each.model}", each.unscored))
        for one in rate:
            if (line := each.asked_again(one)) is not None:
                label = f"{one * 100:g}% of logins asked again, {each.model}"
                made.append(figure(f"line where {label}", line[0]))
                made.append(figure(f"others above it where {label}", line[1]))
    spent = time.perf_counter() - began
    _finish(Report("risk replay", started, spent, tuple(made)), json_file)


@app.command()
def detect(
    since: datetime | None = _DETECT_SINCE,
    until: datetime | None = _UNTIL,
    only: list[str] = _ONLY,
    listed: Path | None = _LISTED,
    world: int | None = _WORLD,
    users: int = typer.Option(700, min=1, help="People in that world."),
    days: int = typer.Option(40, min=1, help="Days of that world."),
    env_file: Path = _ENV,
    json_file: str | None = _JSON,
) -> None:
    """Look for attacks in what was logged; each finding names its attempts.

    With --world, in a synthetic world on a server of its own instead: which labelled
    campaigns are found, and how often somebody is suspected who is no attacker.
    """
    import time
    from dataclasses import asdict

    from authkit.cli.risk_world import searched
    from authkit.errors import InvalidInput
    from authkit.figures import Report, figure
    from authkit.risk.detectors import DETECTORS, networks_in
    from authkit.risk.detectors import detect as look
    from authkit.risk.detectors.travel import located
    from authkit.risk.networks import Networks
    from authkit.settings import Settings

    if unknown := set(only) - set(DETECTORS):
        known = ", ".join(DETECTORS)
        raise InvalidInput(
            f"no detector {', '.join(sorted(unknown))}; there is: {known}"
        )
    if world is not None:
        if json_file != "-":
            typer.echo(f"Results on a synthetic world, of seed {world}.")
        _finish(searched(world, users, days), json_file)
    if since is None:
        raise InvalidInput("say from when on, with --since, or which --world")
    started, began = datetime.now(UTC), time.perf_counter()
    window = _window(since, until)
    networks = Networks.of(Settings.load(env_file))
    with _connected(env_file) as connection:
        changed = {
            "impossible_travel": {"located": located(connection, networks, *window)},
            "listed_address": {"networks": networks_in(_text(listed))},
        }
        found = {
            name: look(connection, detector, *window, changed.get(name))
            for name, detector in DETECTORS.items()
            if not only or name in only
        }
    report = Report(
        "risk detect",
        started,
        time.perf_counter() - began,
        tuple(figure(name, len(made), "findings") for name, made in found.items()),
        extra={"findings": [asdict(one) for made in found.values() for one in made]},
    )
    _finish(report, json_file)


def _text(file: Path | None) -> str:
    from authkit.errors import InvalidInput

    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"{file.name} cannot be read as text") from exc


@app.command()
def rebuild(env_file: Path = _ENV) -> None:
    """Make the counts of scores anew from the attempts; logins wait meanwhile."""
    from authkit.risk.recount import rebuild as count

    with _connected(env_file) as connection:
        counted = count(connection, datetime.now(UTC))
    typer.echo(f"Counted {counted:,} completed logins.")


@app.command()
def maintain(
    horizon_days: int = typer.Option(182, min=1, help="Days the counts reach back."),
    env_file: Path = _ENV,
) -> None:
    """Merge recent logins into the counts over everybody; forget old ones. Bounded."""
    from authkit.risk.recount import upkeep

    with _connected(env_file) as connection:
        merged, aged = upkeep(connection, timedelta(days=horizon_days))
    typer.echo(f"Forgot {aged:,} logins, merged {merged:,} changes.")


@contextmanager
def _writable(file: Path) -> Generator[TextIO]:
    from authkit.errors import InvalidInput

    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            yield opened
    except OSError as exc:
        raise InvalidInput(f"cannot write {file.name}: {exc.strerror}") from exc


@contextmanager
def _connected(env_file: Path) -> Generator[psycopg.Connection[Any]]:
    from authkit.cluster.locate import writer_url
    from authkit.ops.connection import connect, named_faults
    from authkit.settings import Settings

    url = writer_url(Settings.load(env_file))
    with named_faults(), closing(connect(url, autocommit=True)) as connection:
        yield connection


def _window(since: datetime, until: datetime | None) -> tuple[datetime, datetime]:
    end = datetime.now(UTC) if until is None else until.replace(tzinfo=UTC)
    return since.replace(tzinfo=UTC), end


def _finish(report: Report, json_file: str | None) -> Never:
    if json_file != "-":
        for made in report.figures:
            missed = "" if made.holds is not False else f" (goal {made.goal})"
            typer.echo(f"{made.name}: {made.value} {made.unit}".rstrip() + missed)
    if json_file is not None:
        report.write_json(json_file)
    raise typer.Exit(report.exit_code)
