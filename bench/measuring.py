"""What these measurements share: a migrated server of their own, ratios of rounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from authkit.lab import Lab
from authkit.lab import cluster as lab_cluster


@contextmanager
def migrated() -> Iterator[Lab]:
    """Start a server, make the schema, remove both in the end."""
    from authkit.ops.migrate import upgrade

    with lab_cluster(0) as lab:
        upgrade(lab.url())
        yield lab


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios within each round."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
