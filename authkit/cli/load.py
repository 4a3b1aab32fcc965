"""`authkit load`: locust with a profile, goals and a report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer


def load(
    profile: Annotated[
        str, typer.Option(help="Name of a profile, or a TOML file.", metavar="NAME")
    ] = "mixed-day",
    users: Annotated[
        int | None, typer.Option(min=1, help="Locust users; default: the profile's.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Open loop: arrivals per second, whatever the answers do."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="How long it measures; default: the profile's.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Load generators to fork.")] = 1,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="at=10s,kind=kill-primary; also restart-primary, freeze-primary,"
            " pause-replica, lag (lag=1s), lock-table, drop-connections; for=2s says"
            " how long. May be given several times.",
            metavar="FAULT",
        ),
    ] = None,
    fault_outside_lab: Annotated[
        bool,
        typer.Option(
            "--fault-outside-lab",
            help="Let faults hit a database that is no embedded cluster.",
        ),
    ] = False,
    slo: Annotated[
        Path | None,
        typer.Option(help="TOML file of goals: exit 0 when met, 1 when missed."),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(
            help="File for the figures; - is standard output.", metavar="FILE"
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="File for the HTML report.")
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(
            help="Beginning of the names of locust's CSV files.", metavar="PREFIX"
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder to add this run's result to, as a line of JSON."),
    ] = None,
    overhead: Annotated[
        bool,
        typer.Option(
            "--overhead",
            help="Measure the harness itself, on a lab of its own; --seconds is the"
            " length of each measurement.",
        ),
    ] = False,
    locustfile: Annotated[
        Path | None,
        typer.Option("--locustfile", "-f", help="Your own file, built on AuthUser."),
    ] = None,
) -> None:
    """Load a primary and its replicas with locust.

    Takes DATABASE_URL and DATABASE_REPLICA_URLS; without them it starts a cluster for
    the run and removes it. Exit code 2: the run proves nothing.
    """
    from authkit.cli.extras import want
    from authkit.errors import ConfigError
    from authkit.harness import command
    from authkit.harness import profile as profiles

    want("locust", "hdrh")  # here, not as a trace of the process that is started
    if overhead:
        raise typer.Exit(_overhead(seconds or 5.0, json))
    found = profiles.read(command.profile_path(profile))
    for name, value in (("rate", rate), ("seconds", seconds)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError([f"--{name} must be above zero"])
    arguments = command.locust_arguments(
        locustfile or command.locustfile(),
        users=users or found.users,
        processes=processes,
        csv=csv,
    )
    variables = command.variables(
        profile=command.profile_path(profile),
        rate=rate,
        seconds=seconds or found.seconds,
        slo=slo,
        json=json,
        report=report,
        results=results,
        fault="; ".join(fault) if fault else None,
        fault_outside_lab="1" if fault_outside_lab else None,
    )
    # Its own process: locust patches what it runs in, before psycopg is imported.
    process = subprocess.Popen([sys.executable, *arguments], env=os.environ | variables)

    def forward(_number: int, _frame: object) -> None:
        process.terminate()

    signal.signal(signal.SIGTERM, forward)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # Ctrl-C reached locust as well: it writes its report, then ends.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.wait()
        code = 130
    raise typer.Exit(code)


def _overhead(seconds: float, json: str | None) -> int:
    """Measure the harness, print its figures, return the exit code."""
    from authkit.harness import overhead

    made = overhead.run(seconds, lambda step: typer.echo(step, err=True))
    for found in made.figures:
        sign = {True: "ok", False: "MISSED", None: ""}[found.holds]
        typer.echo(
            f"{found.name:<24}{found.value!s:>12} {found.unit:<4}"
            f"{found.goal or '':<10}{sign}",
            err=json == "-",
        )
    if json is not None:
        made.write_json(json)
    return made.exit_code
