"""Shows the tour on a terminal, or line by line where there is none."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.status import Status

# Without a terminal nothing can be redrawn: then a line this often, and no more.
_LINES_EVERY_S: Final = 5.0


class Screen:
    """A narrator that writes to a console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, doing: str) -> Generator[_Shown]:
        """Show a step with a spinner, then what came of it with the time it took."""
        if self._console.is_terminal:
            with self._console.status(escape(doing)) as status:
                shown = _Shown(self._console, doing, status)
                yield shown
        else:
            shown = _Shown(self._console, doing, None)
            yield shown
        shown.finish()


class _Shown:
    """One step on the screen."""

    def __init__(self, console: Console, doing: str, status: Status | None) -> None:
        self._console = console
        self._status = status
        self._what = doing
        self._began = self._written = time.monotonic()

    def update(self, doing: str) -> None:
        """Show how far the step is."""
        if self._status is not None:
            self._status.update(escape(doing))
        elif time.monotonic() - self._written > _LINES_EVERY_S:
            self._written = time.monotonic()
            self._console.print(f"  … {escape(doing)}", highlight=False)

    def done(self, what: str) -> None:
        """Say what came of it."""
        self._what = what

    def finish(self) -> None:
        """Write the line that stays."""
        took = time.monotonic() - self._began
        self._console.print(
            f"[green]✓[/] {escape(self._what)} [dim]{took:.1f} s[/]",
            highlight=False,
            soft_wrap=True,
        )
