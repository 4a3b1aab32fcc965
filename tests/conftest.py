from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

import pytest

from authkit.lab import Lab

pytest_plugins = ["authkit.testing.plugin"]

# These files take longest, in this order. Workers take whole files: what begins last
# is what one of them does alone while the others have nothing left to do.
LONGEST = (
    "tests/test_whole.py",
    "tests/notebooks/test_notebooks.py",
    "tests/cluster/test_failover.py",
    "tests/harness/test_drills.py",
    "tests/demo/test_tour.py",
    "tests/harness/test_locust.py",
    "tests/lab/test_patroni.py",
    "tests/harness/test_locust_faults.py",
    "tests/cluster/test_leaks.py",
    "tests/harness/test_gate_versions.py",
    "tests/harness/test_drills_patroni.py",
    "tests/bench/test_bench.py",
    "tests/lab/test_rounds.py",
    "tests/relational/test_dialect.py",
    "tests/hot/test_every_race.py",
    "tests/harness/test_gate_counters.py",
    "tests/cli/test_example_tour.py",
    "tests/cli/test_backup.py",
    "tests/cli/test_load.py",
    "tests/lab/test_degrading.py",
    "tests/ops/test_acceptance.py",
    "tests/harness/test_drill_peers.py",
    "tests/cli/test_notebook.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; those of the rest with the most tests come next."""
    places = {name: place for place, name in enumerate(LONGEST)}
    files = [item.nodeid.partition("::")[0] for item in items]
    tests = Counter(files)
    order = sorted(
        range(len(items)),
        key=lambda at: (places.get(files[at], len(LONGEST)), -tests[files[at]]),
    )
    items[:] = [items[at] for at in order]


@pytest.fixture
def replay_paused(pair: Lab) -> Callable[[], AbstractContextManager[None]]:
    """A block in which the replica receives and does not replay.

    A commit that waits for it (`remote_apply`) ends after the block only: commit with
    `synchronous_commit = local` inside.
    """

    @contextmanager
    def paused() -> Generator[None]:
        pair.sql("SELECT pg_wal_replay_pause()", node="replica")
        try:
            yield
        finally:
            pair.sql("SELECT pg_wal_replay_resume()", node="replica")

    return paused
