"""A daily aggregate in DuckDB, on our export and on Parquet that DuckDB wrote."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from measuring import migrated, ratio

from authkit.figures import Figure, figure

_INDEXES = ("subject", "user", "ip", "device", "time")
_DAILY = """
SELECT epoch_us(date_trunc('day', occurred_at)) AS day, count(*),
    count(DISTINCT country), count(*) FILTER (WHERE outcome = 'failed'),
    round(avg(risk_score), 6)
FROM read_parquet('{}/*/*/*.parquet', hive_partitioning = true)
GROUP BY day ORDER BY day
"""


def export(rows: int, rounds: int, kept: Path | None) -> list[Figure]:
    """A daily aggregate on our files and on DuckDB's own, in turns."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        root = kept or Path(folder)
        ours, own = root / "ours", root / "own"
        if not (ours / "manifest.json").exists():
            _exported(rows, ours)
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        if not own.exists():
            connection.execute(
                f"COPY (FROM read_parquet('{ours}/*/*/*.parquet',"
                f" hive_partitioning = true) ORDER BY occurred_at) TO '{own}'"
                " (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (year, month))"
            )
        took: dict[Path, list[float]] = {ours: [], own: []}
        answers: dict[Path, object] = {}
        for number in range(rounds * 4 + 1):
            for place in (ours, own) if number % 2 else (own, ours):
                began = time.perf_counter()
                answers[place] = connection.execute(_DAILY.format(place)).fetchall()
                if number:
                    took[place].append(time.perf_counter() - began)
        if answers[ours] != answers[own]:
            raise SystemExit("the two answers differ")
        there = connection.execute(
            f"SELECT count(*) FROM read_parquet('{ours}/*/*/*.parquet')"  # noqa: S608 # a folder of our own
        ).fetchall()
    return [
        figure("rows", there[0][0]),
        figure("on the export", median(took[ours]), "s"),
        figure("on DuckDB's own Parquet", median(took[own]), "s"),
        figure("ours to DuckDB's", ratio(took[ours], took[own]), goal=("<=", 1.1)),
    ]


def _exported(rows: int, to: Path) -> None:
    from authkit.analysis import Frames

    days = max(1, rows // 1_000_000)
    with migrated() as lab:
        # Nothing is looked up by them here, and they would take most of the time.
        for name in _INDEXES:
            lab.sql(f"DROP INDEX IF EXISTS authkit.auth_attempts_by_{name}_idx")
        lab.sql(
            "SELECT authkit.ensure_partitions('2026-09-01'::date, '2026-10-01'::date)"
        )
        for day in range(days):
            lab.sql(
                f"""INSERT INTO authkit.auth_attempts
                    (occurred_at, id, user_id, ip, country, method, outcome,
                     failure_reason, risk_score, risk_model, risk_model_version,
                     risk_features)
                SELECT timestamptz '2026-09-01 00:00Z' + interval '1 day' * {day}
                    + interval '1 second' * (n * 86400.0 / {rows // days}),
                    gen_random_uuid(),
                    lpad(to_hex(n % 20000), 32, '0')::uuid,
                    inet '10.0.0.0' + n % 50000,
                    (ARRAY['DE', 'FR', 'US', 'GB', 'NL'])[1 + n % 5],
                    'password',
                    CASE n % 9 WHEN 0 THEN 'failed' ELSE 'succeeded' END,
                    CASE n % 9 WHEN 0 THEN 'wrong_password' END,
                    (n % 1000 * 7919 % 1000) / 100.0, 'model', '1', '{{}}'
                FROM generate_series(0, {rows // days} - 1) AS n"""  # noqa: S608 # numbers of our own
            )
        lab.sql("ANALYZE")
        frames = Frames(lab.url, max_rows=None).clear
        frames.export(to, since=datetime(2026, 9, 1, tzinfo=UTC), until="2026-10-01")
