"""How the database commands show what is going on and what came of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from authkit.figures import Report
    from authkit.ops.database import SetupSummary
    from authkit.ops.findings import Finding
    from authkit.ops.maintain import Maintained


def typed(command: str) -> str:
    """Return a command as it is typed here: after `uv run`, where that ran this one.

    uv names itself in the environment of what it runs, and its folder of programs is
    on no path of the caller's.
    """
    return f"uv run {command}" if os.environ.get("UV") else command


@contextmanager
def progress() -> Generator[Callable[[str, int, int], None]]:
    """Show a bar for each phase of long work; yields what to tell it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def show(phase: str, done: int, whole: int) -> None:
        if phase not in tasks:
            tasks[phase] = bar.add_task(phase, total=whole)
        bar.update(tasks[phase], completed=done, total=whole)

    with bar:
        yield show


def print_findings(findings: Iterable[Finding]) -> None:
    """Print each finding with its sign, and what to do about it."""
    signs = {
        "good": ("ok", typer.colors.GREEN),
        "note": ("note", typer.colors.YELLOW),
        "fault": ("FAULT", typer.colors.RED),
    }
    for finding in findings:
        sign, colour = signs[finding.level.value]
        typer.echo(f"{typer.style(f'{sign:>5}', fg=colour)}  ", nl=False)
        typer.echo(f"{finding.where}: {finding.what}")
        if finding.advice is not None:
            typer.echo(f"       -> {finding.advice}")


def print_figures(report: Report, *, err: bool) -> None:
    """Print each figure beside its goal; `err`: standard output holds JSON."""
    for found in report.figures:
        goal = f"  (goal {found.goal})" if found.goal else ""
        typer.echo(f"{found.name}: {found.value} {found.unit}{goal}", err=err)


def print_setup(summary: SetupSummary) -> None:
    """Print what a setup did."""
    if summary.created_database:
        typer.echo("Created the database.")
    if summary.came_from != summary.revision:
        came_from = summary.came_from or "nothing"
        typer.echo(f"Migrated from {came_from} to {summary.revision}.")
    if summary.partitions_made:
        typer.echo(f"Made {summary.partitions_made} partitions.")
    if summary.reference_added:
        typer.echo(f"Added {summary.reference_added} roles and permissions.")
    if not summary.changed:
        typer.echo("Nothing was left to do.")
    roles = ", ".join(summary.roles)
    typer.echo(f"Ready at revision {summary.revision}; group roles: {roles}.")


def print_maintained(done: Maintained, *, dry_run: bool) -> None:
    """Print what a maintenance run did, or would do."""
    if done.busy:
        typer.echo("Another run is at it: nothing was left to do here.")
        return
    would = "would be " if dry_run else ""
    typer.echo(f"Partitions: {done.partitions_made} {would}made ahead,", nl=False)
    typer.echo(f" {len(done.partitions_dropped)} {would}dropped.")
    for name, count in done.purged.items():
        if count:
            typer.echo(f"  {name.replace('_', ' '):<16} {count:>12,} {would}deleted")
    if not any(done.purged.values()):
        typer.echo("Nothing else has had its time.")
    if done.changes_merged:
        typer.echo(
            f"Scores: {done.changes_merged:,} changes merged,"
            f" {done.logins_forgotten:,} logins forgotten."
        )
