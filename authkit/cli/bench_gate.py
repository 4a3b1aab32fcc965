"""`authkit bench` budgets, compare, gate, aa, inject, trend: what a change costs."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from authkit.figures import Report
    from authkit.harness.gate.gating import Compared

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


History = Annotated[
    Path | None,
    typer.Option(help="Folder of the history to add this run to.", metavar="FOLDER"),
]


Client = Annotated[
    bool,
    typer.Option(
        "--instructions/--no-instructions",
        help="Count the client's instructions too, where valgrind is.",
    ),
]


def mount(app: typer.Typer) -> None:
    """Add the commands to their group."""
    for command in (budgets, compare, gate, aa, inject, trend):
        app.command()(command)


@contextmanager
def _working() -> Generator[Callable[[str, int, int], None]]:
    """Show progress; what was started is ended too when we are told to stop."""
    from authkit.cli.showing import progress

    signal.signal(signal.SIGTERM, _end)
    with progress() as show:
        yield show


def _end(_number: int, _frame: object) -> None:
    sys.exit(143)


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
    instructions: Client = True,
    json: Json = None,
    history: History = None,
) -> None:
    """Count what each operation costs: round trips, statements, buffers, WAL, plan.

    Exit code 1 when one costs more than bench/budgets.toml allows, if that was counted
    in an environment like this one; with --base, than the base.
    """
    from authkit.harness import results
    from authkit.harness.gate import counting

    with _working() as show:
        report, lines = counting.run(
            update=update,
            base=base,
            only=tuple(only or ()),
            client=instructions,
            progress=show,
        )
    if history is not None:
        results.append(history, report)
    _print(lines, report, json)


Base = Annotated[str, typer.Argument(help="The git revision to compare with.")]
Head = Annotated[
    str | None, typer.Argument(help="The one to judge; default: the tree as it is.")
]
Markdown = Annotated[
    Path | None,
    typer.Option(help="File for the summary of a pull request.", metavar="FILE"),
]
Runs = Annotated[int, typer.Option(min=1, help="How many benchmarks are run.")]
Load = Annotated[int, typer.Option(min=0, help="Processes that keep busy meanwhile.")]
Raw = Annotated[
    Path | None,
    typer.Option(help="File to which each run is added as a line.", metavar="FILE"),
]


def compare(
    base: Base,
    head: Head = None,
    only: Only = None,
    client: Client = True,
    json: Json = None,
    markdown: Markdown = None,
) -> None:
    """Two versions in turns on one server, and the base twice: what differs.

    Refuses nothing: exit code 0 whatever is found.
    """
    found = _compared(base, head, only, timed=True, client=client)
    _show(found, json, markdown)


def gate(
    base: Base,
    head: Head = None,
    only: Only = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Only what is counted, no times.")
    ] = False,
    client: Client = True,
    json: Json = None,
    markdown: Markdown = None,
    history: History = None,
) -> None:
    """Judge a change: exit code 1 for a regression, 2 when the run proves nothing.

    Exact costs must not rise, unless bench/budgets.toml was raised with them. A time
    regresses when its low quantile and its paired median are both slower than the
    margin, certainly so for all benchmarks together.
    """
    from authkit.harness import results
    from authkit.harness.gate import rendering

    found = _compared(base, head, only, timed=not exact, client=client)
    if history is not None:
        results.append(history, found.report)
    _show(found, json, markdown)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in rendering.github(found):
            typer.echo(line, err=json == "-")
    raise typer.Exit(found.code)


def aa(
    runs: Runs = 36,
    load: Load = 0,
    only: Only = None,
    raw: Raw = None,
    json: Json = None,
) -> None:
    """How often does the gate raise an alarm where nothing changed?"""
    _rates(runs, 0.0, load, only, raw, json)


def inject(
    slow: Annotated[
        str, typer.Option(help="How much slower, such as 5%.", metavar="SHARE")
    ] = "5%",
    runs: Runs = 36,
    load: Load = 0,
    only: Only = None,
    raw: Raw = None,
    json: Json = None,
) -> None:
    """How often does the gate catch an operation that was made slower?"""
    from authkit.errors import InvalidInput

    try:
        share = float(slow.removesuffix("%")) / (100 if slow.endswith("%") else 1)
    except ValueError as exc:
        raise InvalidInput(f"{slow!r} is no share: 5% or 0.05") from exc
    if not 0 < share <= 10:
        raise InvalidInput("slower by more than nothing, and by 1000% at most")
    _rates(runs, share, load, only, raw, json)


def trend(
    history: Annotated[
        Path, typer.Argument(help="The folder that --history added runs to.")
    ],
    html: Annotated[
        Path | None, typer.Option(help="File for a page of it.", metavar="FILE")
    ] = None,
) -> None:
    """How costs went from version to version, and where they changed for good."""
    from authkit.errors import InvalidInput
    from authkit.harness.gate import trend as trends

    found = trends.read(history)
    for line in trends.terminal(found):
        typer.echo(line)
    if html is not None:
        try:
            html.write_text(trends.html(found), encoding="utf-8")
        except OSError as exc:
            raise InvalidInput(f"cannot write {html}: {exc.strerror}") from exc


def _rates(
    runs: int,
    slow: float,
    load: int,
    only: list[str] | None,
    raw: Path | None,
    json: str | None,
) -> None:
    from authkit.harness.gate import rates

    with _working() as show:
        report = rates.run(
            runs=runs,
            slow=slow,
            load=load,
            benchmarks=tuple(only or ()),
            raw=raw,
            progress=show,
        )
    lines = [
        f"{one.name}: {one.value} {one.unit}".rstrip()
        + (f" (goal {one.goal})" if one.goal else "")
        for one in report.figures
    ]
    _print(tuple(lines), report, json)


def _compared(
    base: str,
    head: str | None,
    only: list[str] | None,
    *,
    timed: bool,
    client: bool,
) -> Compared:
    from authkit.harness.gate import gating

    with _working() as show:
        return gating.run(
            base,
            head,
            only=tuple(only or ()),
            timed=timed,
            client=client,
            progress=show,
        )


def _show(found: Compared, json: str | None, markdown: Path | None) -> None:
    from authkit.errors import InvalidInput
    from authkit.harness.gate import rendering

    text = rendering.markdown(found)
    if json is not None:
        found.report.write_json(json)
    if markdown is not None:
        try:
            markdown.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise InvalidInput(f"cannot write {markdown}: {exc.strerror}") from exc
    typer.echo(text, err=json == "-")


def _print(lines: tuple[str, ...], report: Report, json: str | None) -> None:
    if json is not None:
        report.write_json(json)
    for line in lines:
        typer.echo(line, err=json == "-")
    raise typer.Exit(report.exit_code)
