"""A lab, a seeded database and held connections for the benchmarks.

uv run pytest bench
uv run pytest bench --benchmark-autosave --benchmark-compare
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from authkit.cluster import Cluster, NodeConnection
from authkit.lab import Lab
from authkit.lab import cluster as lab_cluster
from authkit.ops.migrate import upgrade
from authkit.settings import Settings
from authkit.workload.load import seed

sys.path.insert(0, str(Path(__file__).parent))
from samples import Samples

PEOPLE, DAYS = 2_000, 7


@pytest.fixture(scope="session")
def bench_lab() -> Iterator[Lab]:
    """A primary and a synchronous replica, as durable as a server of its own."""
    with lab_cluster(replicas=1) as lab:
        upgrade(lab.url())
        seed(lab.url(), users=PEOPLE, days=DAYS, seed=1)
        lab.sql("ANALYZE")
        lab.wait_replayed()
        yield lab


@pytest.fixture(scope="session")
def bench_cluster(bench_lab: Lab) -> Iterator[Cluster]:
    """The cluster under test, open."""
    found = Settings.load(
        env_file=None,
        database_url=bench_lab.url("primary"),
        database_replica_urls=(bench_lab.url("replica"),),
    )
    with Cluster(found) as opened:
        yield opened


@pytest.fixture(scope="session")
def primary(bench_cluster: Cluster) -> Iterator[NodeConnection]:
    """One connection to the primary, held."""
    with bench_cluster.writer() as connection:
        yield connection


@pytest.fixture(scope="session")
def replica(bench_cluster: Cluster) -> Iterator[NodeConnection]:
    """One connection to the replica, held."""
    while True:
        with bench_cluster.reader(max_lag=timedelta(minutes=1)) as connection:
            if connection.node.role.value == "replica":
                yield connection
                return


@pytest.fixture(scope="session")
def samples(primary: Any) -> Samples:
    """Parameters of every operation."""
    return Samples(primary)
