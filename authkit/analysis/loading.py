"""What a reader is told while a frame is read: a remark, and a bar if it is long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

_LONG = 200_000

# How many rows have come so far.
Came = Callable[[int], None]


def tell(text: str) -> None:
    """Print a remark: below the cell in a notebook, on standard error elsewhere."""
    stream = sys.stdout if "ipykernel" in sys.modules else sys.stderr
    stream.write(f"{text}\n")


@contextmanager
def progress(
    name: str, expected: int | None, *, shown: bool | None = None
) -> Generator[Came]:
    """Show a bar while rows come, if many are expected.

    Args:
        name: what is read.
        expected: the planner's guess; None: nobody asked it.
        shown: whether anybody looks; by default a terminal or a notebook.
    """
    notebook = "ipykernel" in sys.modules
    watched = shown if shown is not None else notebook or sys.stderr.isatty()
    if expected is None or expected < _LONG or not watched:
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=not notebook),
        transient=notebook,
    ) as bar:
        task = bar.add_task(f"{name}, about", total=expected)
        yield lambda rows: bar.update(task, completed=rows, total=max(expected, rows))
