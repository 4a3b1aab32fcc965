"""What `authkit db seed` does for the counts that login scores are made of."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable


def fill(url: str, until: datetime, show: Callable[[str, int, int], None]) -> None:
    """Count the completed logins of what was seeded."""
    from authkit.ops.connection import connect, named_faults
    from authkit.risk.recount import rebuild

    with named_faults(), closing(connect(url)) as connection:
        counted = rebuild(connection, until, show)
    typer.echo(f"Scores of logins count {counted:,} completed logins.")
