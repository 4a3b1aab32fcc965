"""Rows to pandas against the driver alone, and lines of a log into rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authkit.analysis import Frames
from authkit.analysis.ingest import Clock, OpenSSH, ingest
from authkit.crypto import KeyedHash

LINES = 20_000
ROUNDS = {"rounds": 5, "iterations": 1, "warmup_rounds": 1}


@pytest.fixture(scope="module")
def frames(bench_lab):
    return Frames(bench_lab.url, max_rows=None, say=lambda text: None)


def statement(masked: bool) -> str:
    from authkit.analysis.sources import ATTEMPTS
    from authkit.analysis.window import Window

    return ATTEMPTS.select(Window(None, None), (), None, masked=masked)[0]


@pytest.mark.benchmark(group="attempts to pandas")
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "clear"])
def test_attempts_through_frames(benchmark, frames, masked: bool):
    chosen = frames if masked else frames.clear
    found = benchmark.pedantic(lambda: chosen.attempts(since=None), **ROUNDS)
    assert len(found) > 0


@pytest.mark.benchmark(group="attempts to pandas")
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "clear"])
def test_attempts_through_the_driver_alone(benchmark, bench_lab, masked: bool):
    import adbc_driver_postgresql.dbapi as dbapi

    from authkit.analysis.arrow import to_pandas

    asked = statement(masked)

    def read():
        with (
            dbapi.connect(bench_lab.url()) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(asked)
            return to_pandas(cursor.fetch_arrow_table())

    assert len(benchmark.pedantic(read, **ROUNDS)) > 0


@pytest.mark.benchmark(group="attempts to pandas")
def test_attempts_through_read_sql(benchmark, bench_lab):
    import pandas as pd
    import sqlalchemy

    url = bench_lab.url().replace("postgresql://", "postgresql+psycopg://", 1)
    engine = sqlalchemy.create_engine(url)
    asked = sqlalchemy.text(statement(masked=False).replace(":", r"\:"))

    def read():
        with engine.connect() as connection:
            return pd.read_sql(asked, connection)

    found = benchmark.pedantic(read, rounds=2, iterations=1)
    engine.dispose()
    assert len(found) > 0


def log(day: datetime) -> list[bytes]:
    said = (
        "Failed password for user{who} from 203.0.113.{place} port 40022 ssh2",
        "Failed password for invalid user u{who} from 203.0.113.{place} port 22 ssh2",
        "Accepted password for user{who} from 203.0.113.{place} port 40022 ssh2",
        "pam_unix(sshd:session): session opened for user user{who}",
    )
    return [
        (
            f"{day + timedelta(seconds=n):%b %d %H:%M:%S} gate sshd[{n % 30_000}]: "
            + said[n % 4].format(who=n % 3_000, place=n % 250)
            + "\n"
        ).encode()
        for n in range(LINES)
    ]


@pytest.mark.benchmark(group="20,000 lines of auth.log")
def test_lines_of_openssh_are_read(benchmark):
    lines = log(datetime(2026, 10, 1, tzinfo=UTC))
    clock = Clock(2026, now=datetime(2026, 11, 1, tzinfo=UTC))
    found = benchmark(lambda: sum(1 for _ in OpenSSH(clock).read(lines)))
    assert found == LINES


@pytest.mark.benchmark(group="20,000 lines of auth.log")
def test_lines_of_openssh_are_ingested(benchmark, bench_lab, tmp_path: Path):
    lines = log(datetime(2026, 10, 1, tzinfo=UTC))
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
