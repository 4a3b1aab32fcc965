"""`authkit risk detect --world`: the detectors on a synthetic world of their own."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.figures import Report


def searched(seed: int, users: int, days: int) -> Report:
    """Return what the detectors find of a synthetic world, on a server of its own."""
    from authkit.cli.showing import progress
    from authkit.evaluation.campaigns import search
    from authkit.figures import Report
    from authkit.lab import cluster
    from authkit.ops.connection import connect
    from authkit.ops.migrate import upgrade
    from authkit.workload.load import seed as fill

    started, began = datetime.now(UTC), time.perf_counter()
    end = datetime(2026, 11, 1, tzinfo=UTC)
    with cluster(replicas=0, in_memory=True) as lab, progress() as show:
        upgrade(lab.url())
        fill(lab.url(), users=users, days=days, seed=seed, end=end, progress=show)
        with closing(connect(lab.url())) as connection:
            connection.execute("ANALYZE")
            outcome, _ = search(connection, end - timedelta(days=days), end)
        version = str(lab.sql("SHOW server_version")[0][0])
    return Report(
        "risk detect",
        started,
        time.perf_counter() - began,
        tuple(outcome.figures()),
        postgres=version,
        extra={"synthetic": True, "world": seed},
    )
