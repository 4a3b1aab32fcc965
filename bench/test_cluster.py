"""What the cluster adds to a call: taking a connection and giving it back."""

from __future__ import annotations

from datetime import timedelta

import pytest

LAG = timedelta(minutes=1)


@pytest.mark.benchmark(group="acquire")
def test_acquire_a_writer(benchmark, bench_cluster):
    def acquire():
        with bench_cluster.writer():
            pass

    benchmark(acquire)


@pytest.mark.benchmark(group="acquire")
def test_acquire_a_reader_that_may_lag(benchmark, bench_cluster):
    def acquire():
        with bench_cluster.reader(max_lag=LAG):
            pass

    benchmark(acquire)


@pytest.mark.benchmark(group="acquire")
def test_acquire_from_a_bare_pool(benchmark, bench_lab):
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(bench_lab.url(), min_size=2, open=False)
    with pool:
        pool.wait()

        def acquire():
            with pool.connection():
                pass

        benchmark(acquire)
