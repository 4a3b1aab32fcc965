"""Whether the time of an answer tells a wrong token from an expired one.

    uv run pytest bench/test_timing.py

Both take the same statement and get the same answer. Welch's t over interleaved calls,
the slowest twentieth left out: from about 4.5 on, a difference would be taken as shown
(Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017). It is printed
and not asserted: a busy machine shows differences of its own.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import cycle
from math import sqrt
from statistics import fmean, variance
from time import perf_counter_ns

import psycopg
import pytest
from telling import told

import authkit
from authkit.settings import Settings

CALLS, EXPIRED = 6000, 200


def welch(first: list[int], second: list[int]) -> float:
    """Return Welch's t of two samples, their slowest twentieth left out."""
    kept = [sorted(times)[: len(times) * 19 // 20] for times in (first, second)]
    spread = sqrt(sum(variance(times) / len(times) for times in kept))
    return (fmean(kept[0]) - fmean(kept[1])) / spread


@pytest.mark.benchmark(group="timing")
def test_a_wrong_token_beside_an_expired_one(benchmark, capsys, bench_lab):
    calls = 50 if benchmark.disabled else CALLS
    found = Settings.load(env_file=None, database_url=bench_lab.url())
    with (
        authkit.connect(found) as kit,
        psycopg.connect(bench_lab.url(), autocommit=True) as owner,
    ):
        users = owner.execute(
            "SELECT id FROM authkit.users WHERE disabled_at IS NULL LIMIT %s",
            (EXPIRED,),
        ).fetchall()
        made = [
            kit.sessions.create(user, lifetime=timedelta(hours=1)) for (user,) in users
        ]
        owner.execute(
            "UPDATE authkit.active_sessions SET created_at = now() - interval '2 days',"
            " expires_at = now() - interval '1 day' WHERE id = ANY(%s)",
            ([session.id for session in made],),
        )
        # As long as a good one, and of the same letters.
        expired = [session.token for session in made]
        wrong = [token[::-1] for token in expired]
        times: tuple[list[int], list[int]] = ([], [])
        arms = (cycle(wrong), cycle(expired))
        for number in range(2 * calls):
            # In turns, and each first every other time.
            arm = (number + number // 2) % 2
            token = next(arms[arm])
            began = perf_counter_ns()
            answer = kit.sessions.validate(token)
            times[arm].append(perf_counter_ns() - began)
            assert answer is None
        told(benchmark, capsys, "Welch's t", welch(*times), "|t| < 4.5, not asserted")
        difference_us = (fmean(times[0]) - fmean(times[1])) / 1000
        told(benchmark, capsys, "difference in µs", difference_us, "none")
        benchmark.pedantic(kit.sessions.validate, (wrong[0],), rounds=10)
