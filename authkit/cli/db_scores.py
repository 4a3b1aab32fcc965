"""What `authkit db` does for the counts that login scores are made of."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from authkit.figures import Report


def fill(url: str, until: datetime, show: Callable[[str, int, int], None]) -> None:
    """Count the completed logins of what was seeded."""
    from authkit.ops.connection import connect, named_faults
    from authkit.risk.recount import rebuild

    with named_faults(), closing(connect(url)) as connection:
        counted = rebuild(connection, until, show)
    typer.echo(f"Scores of logins count {counted:,} completed logins.")


def keep(url: str, horizon_days: int, report: Report, *, quiet: bool) -> Report:
    """Merge the counts, forget what is too old, and add that to a report."""
    from authkit.figures import figure
    from authkit.ops.connection import connect, named_faults
    from authkit.risk.recount import upkeep

    with named_faults(), closing(connect(url)) as connection:
        merged, forgotten = upkeep(connection, timedelta(days=horizon_days))
    if merged and not quiet:
        typer.echo(f"Scores: {merged:,} changes merged, {forgotten:,} forgotten.")
    made = (
        figure("risk_changes_merged", merged, "logins"),
        figure("risk_logins_forgotten", forgotten, "logins"),
    )
    return replace(report, figures=(*report.figures, *made))
