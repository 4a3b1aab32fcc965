"""`authkit example`: the tour of the Python API, on a real cluster."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from authkit.settings import Settings

# Columns that the longest call takes; what is narrower than both has them in turns.
_CALL, _SIDE_BY_SIDE = 48, 76


def example() -> None:
    """Show the Python API step by step: both layers, a transaction, every error.

    It runs on DATABASE_URL, or on a cluster that it starts and removes again.
    """
    from rich.console import Console

    import authkit
    from authkit.cli.showing import typed
    from authkit.demo.example import Tour

    console = Console(highlight=False)
    with ExitStack() as stack:
        settings = authkit.Settings.load()
        if settings.database_url is None:
            settings = _throw_away(stack, console, settings)
        screen = Screen(console)
        with authkit.connect(settings) as kit:
            tour = Tour(kit, settings, screen)
            tour.run()
    console.print()
    if tour.faults:
        console.print(f"[red]{len(tour.faults)} expectations did not hold[/]")
        raise typer.Exit(1)
    console.print(
        f"[green]Everything held.[/] Next: {typed('authkit demo')}, a failover under"
        " load"
    )


def _throw_away(stack: ExitStack, console: Console, settings: Settings) -> Settings:
    """Start a cluster for this run, and return settings that lead to it."""
    from pydantic import SecretStr

    from authkit import lab
    from authkit.ops.migrate import upgrade

    with console.status("No DATABASE_URL: starting a primary and a replica"):
        started = stack.enter_context(
            lab.cluster(
                replicas=1,
                root=settings.authkit_state_dir,
                bindir=settings.authkit_pg_bindir,
            )
        )
        upgrade(started.url())
        started.wait_replayed()
    replicas = tuple(SecretStr(started.url(name)) for name in started.replicas)
    return settings.model_copy(
        update={
            "database_url": SecretStr(started.url()),
            "database_replica_urls": replicas,
        }
    )


class Screen:
    """Prints the tour: a call to the left, what came of it to the right, or below."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._console.print(f"\n[bold]{title}[/]")

    def line(self, code: str, result: object) -> None:
        """Show what was called, and what came of it."""
        from rich.markup import escape
        from rich.table import Table

        if self._console.width < _SIDE_BY_SIDE:
            self._console.print(
                f"  [cyan]{escape(code)}[/]\n      {escape(str(result))}"
            )
            return
        row = Table.grid(padding=(0, 2))
        row.add_column(width=_CALL, overflow="fold")
        row.add_column(overflow="fold")
        row.add_row(f"  [cyan]{escape(code)}[/]", escape(str(result)))
        self._console.print(row)

    def fault(self, what: str) -> None:
        """Show an expectation that did not hold."""
        from rich.markup import escape

        self._console.print(f"  [red]does not hold:[/] {escape(what)}")
