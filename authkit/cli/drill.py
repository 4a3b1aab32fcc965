"""`authkit drill`: hurt real servers while clients work, and check every write."""

from __future__ import annotations

import signal
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from authkit.figures import Figure, Report


class Drill(StrEnum):
    """The drills by name."""

    FAILOVER = "failover"
    FREEZE = "freeze"
    BLACKHOLE = "blackhole"
    FLAP = "flap"
    SLOW = "slow"
    RESTART = "restart"
    REPLICA_LOST = "replica-lost"
    SPLIT_BRAIN = "split-brain"
    OUTAGE = "outage"
    CHAOS = "chaos"
    SATURATION = "saturation"
    STALENESS = "staleness"
    PURGE = "purge"


# Those that are played in rounds.
ROUNDS = frozenset(Drill) - {Drill.SATURATION, Drill.STALENESS, Drill.PURGE}


class Engine(StrEnum):
    """What runs the servers."""

    PLAIN = "plain"
    PATRONI = "patroni"


class Colour(StrEnum):
    """Which clients."""

    SYNC = "sync"
    ASYNC = "async"
    BOTH = "both"


def drill(
    name: Annotated[Drill, typer.Argument(help="What is done to the servers.")],
    rounds: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="How often, in each colour; default: 5."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=86_400,
            help="Saturation: how long; default: 30. Purge: so much of it is watched.",
        ),
    ] = None,
    reads: Annotated[
        int | None,
        typer.Option(min=100, help="Staleness: how many reads; default: 20,000."),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=1000, help="Purge: how many sessions have expired; default: 500,000."
        ),
    ] = None,
    colour: Annotated[
        Colour, typer.Option(help="Clients: threads, asyncio, or one after the other.")
    ] = Colour.BOTH,
    seed: Annotated[int, typer.Option(help="Of whatever is left to chance.")] = 0,
    asynchronous: Annotated[
        bool,
        typer.Option(
            "--asynchronous",
            help="Commits wait for no replica: acknowledged writes may be lost.",
        ),
    ] = False,
    engine: Annotated[
        Engine,
        typer.Option(
            help="What runs the servers: the embedded lab, or Patroni on three nodes,"
            " which decides itself who leads."
        ),
    ] = Engine.PLAIN,
    json: Annotated[
        str | None,
        typer.Option(
            help="File for the figures; - is standard output.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Hurt a primary or a replica while clients write and read; check every write.

    Everything runs on a cluster of its own, which is removed afterwards.
    Exit code 1: a goal is missed. Exit code 2: the run proves nothing.
    """
    from authkit.cli.showing import progress
    from authkit.errors import ConfigError
    from authkit.harness.drills import run
    from authkit.harness.drills.purging import purging
    from authkit.harness.drills.saturation import saturation
    from authkit.harness.drills.staleness import staleness

    problems = [
        f"{option} is not for the drill {name.value}"
        for option, given, owners in (
            ("--seconds", seconds is not None, {Drill.SATURATION, Drill.PURGE}),
            ("--reads", reads is not None, {Drill.STALENESS}),
            ("--rows", rows is not None, {Drill.PURGE}),
            ("--colour", colour is not Colour.BOTH, set(Drill) - {Drill.PURGE}),
            ("--rounds", rounds is not None, ROUNDS),
            ("--asynchronous", asynchronous, ROUNDS),
            ("--engine", engine is not Engine.PLAIN, ROUNDS),
        )
        if given and name not in owners
    ]
    if problems:
        raise ConfigError(problems)
    # What is killed politely removes its servers as well.
    signal.signal(signal.SIGTERM, _end)
    colours = ("sync", "async") if colour is Colour.BOTH else (colour.value,)
    with progress() as show:
        if name is Drill.SATURATION:
            report = saturation(seconds=seconds or 30.0, colours=colours, progress=show)
        elif name is Drill.STALENESS:
            report = staleness(
                reads=reads or 20_000, colours=colours, seed=seed, progress=show
            )
        elif name is Drill.PURGE:
            report = purging(rows=rows or 500_000, seconds=seconds, progress=show)
        else:
            report = run.drill(
                name.value,
                rounds=rounds or 5,
                colours=colours,
                seed=seed,
                synchronous=not asynchronous,
                engine=engine.value,
                progress=show,
            )
    if json is not None:
        report.write_json(json)
    show_report(report, to_error=json == "-")
    raise typer.Exit(report.exit_code)


def _end(_number: int, _frame: object) -> None:
    sys.exit(143)


def show_report(report: Report, *, to_error: bool) -> None:
    """Print the figures, the colours side by side, each with its goal."""
    from rich.console import Console
    from rich.table import Table

    rows: dict[str, dict[str, Figure]] = {}
    for found in report.figures:
        colour, _, name = found.name.partition("_")
        rows.setdefault(name, {})[colour] = found
    colours = list(dict.fromkeys(f.name.partition("_")[0] for f in report.figures))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("figure")
    for colour in colours:
        table.add_column(colour, justify="right")
    table.add_column("unit")
    table.add_column("goal")
    for name, each in rows.items():
        one = next(iter(each.values()))
        goal = next((found.goal for found in each.values() if found.goal), "")
        cells = [_cell(each[colour]) if colour in each else "" for colour in colours]
        table.add_row(name.replace("_", " "), *cells, one.unit, goal)
    Console(stderr=to_error, soft_wrap=True).print(table)


def _cell(found: Figure) -> str:
    value = "not seen" if found.value is None else f"{found.value:,}"
    if found.holds is None:
        return value
    return f"[{'green' if found.holds else 'red'}]{value}[/]"
