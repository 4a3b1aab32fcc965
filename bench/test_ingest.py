"""Lines of a log into rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from auth_log import lines_of

from authkit.analysis.ingest import Clock, OpenSSH, ingest
from authkit.crypto import KeyedHash

LINES = 20_000
ROUNDS = {"rounds": 5, "iterations": 1, "warmup_rounds": 1}


@pytest.mark.benchmark(group="20,000 lines of auth.log")
def test_lines_of_openssh_are_read(benchmark):
    lines = lines_of(datetime(2026, 10, 1, tzinfo=UTC), LINES)
    clock = Clock(2026, now=datetime(2026, 11, 1, tzinfo=UTC))
    found = benchmark(lambda: sum(1 for _ in OpenSSH(clock).read(lines)))
    assert found == LINES


@pytest.mark.benchmark(group="20,000 lines of auth.log")
def test_lines_of_openssh_are_ingested(benchmark, bench_lab, tmp_path: Path):
    lines = lines_of(datetime(2026, 10, 1, tzinfo=UTC), LINES)
    clock = Clock(2026, now=datetime(2026, 11, 1, tzinfo=UTC))
    rounds = iter(range(1_000))

    def take():
        return ingest(
            bench_lab.url(),
            lines,
            OpenSSH(clock),
            source=f"bench{next(rounds)}",  # new rows in every round
            hashing=KeyedHash(b"k" * 32),
            rejects=tmp_path / "rejects",
        )

    assert benchmark.pedantic(take, **ROUNDS).rejected == 0
