"""Rows to pandas against the driver alone."""

from __future__ import annotations

import pytest

from authkit.analysis import Frames

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

    from authkit.analysis.growing import grown

    asked = statement(masked)

    def read():
        with (
            dbapi.connect(bench_lab.url()) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(asked)
            return grown(cursor.fetch_arrow_table())

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
