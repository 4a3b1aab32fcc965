"""Whether the time of an answer tells a wrong token from an expired one.

    uv run pytest bench/test_timing.py

Printed and not asserted; `authkit bench peers hot` tells it among its figures.
"""

from __future__ import annotations

import psycopg
import pytest
from telling import told

import authkit
from authkit.harness.peers import hot_timing
from authkit.settings import Settings


@pytest.mark.benchmark(group="timing")
def test_a_wrong_token_beside_an_expired_one(benchmark, capsys, bench_lab):
    calls = 50 if benchmark.disabled else hot_timing.CALLS
    found = Settings.load(env_file=None, database_url=bench_lab.url())
    with (
        authkit.connect(found) as kit,
        psycopg.connect(bench_lab.url(), autocommit=True) as owner,
    ):
        users = owner.execute(
            "SELECT id FROM authkit.users WHERE disabled_at IS NULL LIMIT %s",
            (hot_timing.EXPIRED,),
        ).fetchall()
        timing = hot_timing.compare(
            kit, owner, [user for (user,) in users], calls=calls
        )
        told(benchmark, capsys, "Welch's t", timing.t, "|t| < 4.5, not asserted")
        told(benchmark, capsys, "difference in µs", timing.difference_us, "none")
        benchmark.pedantic(kit.sessions.validate, ("A" * 43,), rounds=10)
