"""A score at login: read and judged, on counts made from a seeded world."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import psycopg
import pytest

from authkit.hot._sync import statement
from authkit.risk import Freeman2016, counters, features, model
from authkit.risk.recount import rebuild

ROUNDS, WARMUP = 300, 30
WEIGHTS = tuple([weight for _, weight in levels] for levels in Freeman2016().features)
SAMPLE = """
    SELECT user_id, host(ip), asn, country, user_agent FROM authkit.auth_attempts
    WHERE user_id IS NOT NULL AND session_id IS NOT NULL LIMIT 2000
"""


@pytest.fixture(scope="module")
def logins(bench_lab: Any) -> Any:
    with psycopg.connect(bench_lab.url(), autocommit=True) as opened:
        rebuild(opened, datetime.now(UTC))
        rows = opened.execute(SAMPLE).fetchall()
    return cycle([(user, counters.keys(features(*seen))) for user, *seen in rows])


@pytest.mark.benchmark(group="a score")
def test_evidence_read_and_judged_in_python(benchmark, primary, logins):
    by = model()

    def score(user: Any, keys: Any) -> Any:
        found = statement.fetch_one(primary, counters.EVIDENCE, (user, None, keys))
        assert found is not None
        return by.judge(found.evidence())

    benchmark.pedantic(
        score, setup=lambda: (next(logins), {}), rounds=ROUNDS, warmup_rounds=WARMUP
    )


@pytest.mark.benchmark(group="a score")
def test_freeman_in_sql(benchmark, primary, logins):
    def score(user: Any, keys: Any) -> Any:
        return statement.fetch_one(primary, counters.FREEMAN, (user, keys, *WEIGHTS))

    benchmark.pedantic(
        score, setup=lambda: (next(logins), {}), rounds=ROUNDS, warmup_rounds=WARMUP
    )
