"""Asks the database, after a run, for every write that it acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from authkit.figures import Figure, figure
from authkit.harness import history
from authkit.harness.database import node_name
from authkit.harness.inflict import primary


def of_writes(urls: Sequence[str], path: Path) -> tuple[Figure, ...]:
    """Return how many writes were acknowledged, and how many of them are lost.

    Raises:
        LabError: no node, or more than one, says that it is the primary.
        InvalidInput: the history is not readable.
    """
    writes = history.read(path)
    with primary({node_name(url): url for url in urls}) as (_, connection):
        lost = history.lost(writes, connection)
    return (
        figure("acknowledged_writes", len(writes)),
        figure("acknowledged_writes_lost", len(lost), goal=("==", 0)),
    )
