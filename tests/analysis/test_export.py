from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pytest

from authkit.analysis import Frames
from authkit.analysis.manifest import Manifest, read_manifest
from authkit.errors import InvalidInput
from authkit.testing.plugin import Database

COUNTED = (
    "SELECT count(*), count(DISTINCT {}), min(occurred_at)::text FROM read_parquet(?)"
)


def ask(pattern: str, statement: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(statement, [pattern]).fetchall()


def test_what_is_exported_is_what_the_frame_holds(seeded, tmp_path: Path):
    frames = seeded.frames()
    told: list[tuple[int, int]] = []
    manifest = frames.export(
        tmp_path / "out", since="5d", progress=lambda *at: told.append(at)
    )
    frame = frames.attempts(since="2026-11-18")
    assert manifest.rows == len(frame) > 0
    assert manifest.complete
    assert told[-1] == (6, 6)
    assert sum(manifest.models.values()) == frame["risk_model"].count()
    back = pd.read_parquet(sorted((tmp_path / "out").rglob("*.parquet")))
    back = back.drop(columns=["year", "month"], errors="ignore")
    pd.testing.assert_series_equal(back["id"], frame["id"])
    pd.testing.assert_series_equal(back["occurred_at"], frame["occurred_at"])


def test_duckdb_reads_it_with_its_partitions(seeded, tmp_path: Path):
    manifest = seeded.frames().export(tmp_path / "out", since="5d")
    [(count, months, first)] = ask(manifest.pattern, COUNTED.format("month"))
    assert (count, months) == (manifest.rows, 1)
    assert str(first).startswith("2026-11-18 ")
    [(user, wrong)] = ask(
        manifest.pattern,
        'SELECT "user", count(*) FROM read_parquet(?, hive_partitioning = true)'
        " WHERE year = 2026 AND outcome = 'failed' AND \"user\" IS NOT NULL"
        " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1",
    )
    frame = seeded.frames().attempts(since="2026-11-18")
    failed = frame[frame["outcome"] == "failed"]["user"].value_counts()
    assert failed[user] == wrong == failed.max()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_dask_reads_it(seeded, tmp_path: Path):
    import dask.dataframe as dask_frames

    manifest = seeded.frames().export(tmp_path / "out", since="5d")
    frame = dask_frames.read_parquet(str(tmp_path / "out" / "year=*" / "*" / "*"))
    counted = frame.groupby("outcome").size().compute()
    assert counted.sum() == manifest.rows


def test_polars_reads_it(seeded, tmp_path: Path):
    import polars as pl

    manifest = seeded.frames().export(tmp_path / "out", since="5d")
    read = pl.scan_parquet(manifest.pattern, hive_partitioning=True)
    counted = read.group_by("year", "month", "outcome").len().collect()
    assert counted["len"].sum() == manifest.rows
    assert set(counted["year"]) == {2026}
    assert read.collect_schema()["occurred_at"] == pl.Datetime("us", "UTC")


def test_each_file_is_what_the_manifest_says(seeded, tmp_path: Path):
    seeded.frames().export(tmp_path / "out", since="5d")
    told = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert told["masked"] is True
    assert {"name": "user", "type": "string"} in told["columns"]
    for part in told["parts"]:
        path = tmp_path / "out" / part["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == part["sha256"]
        times = pd.read_parquet(path)["occurred_at"]
        assert len(times) == part["rows"]
        assert times.is_monotonic_increasing
    assert not list((tmp_path / "out").rglob("*.part"))


def test_an_export_that_stopped_goes_on_and_writes_nothing_twice(
    seeded, tmp_path: Path
):
    def stop(done: int, whole: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seeded.frames().export(tmp_path / "out", since="5d", progress=stop)
    begun = read_manifest(tmp_path / "out")
    assert begun is not None
    assert (begun.complete, len(begun.parts)) == (False, 3)
    written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")}
    manifest = seeded.frames().export(tmp_path / "out", since="5d")
    assert manifest.complete
    assert len(manifest.parts) == 6
    assert {p: p.stat().st_mtime_ns for p in written} == written


# As if somebody had killed it just before a file stands under its name.
KILLED = """
import os, sys, pyarrow.parquet as parquet
from authkit.analysis import Frames
parquet.ParquetWriter.close = lambda writer: os.kill(os.getpid(), 9)
Frames(lambda: sys.argv[1], say=len).export(sys.argv[2], since="5d")
"""


@pytest.mark.parametrize("since", ["5d", "1d"])
def test_an_export_that_was_killed_in_its_first_file_goes_on(
    seeded, tmp_path: Path, since: str
):
    out = tmp_path / "out"
    command = (sys.executable, "-c", KILLED, seeded.url, str(out))
    died = subprocess.run(command, check=False)
    assert died.returncode == -signal.SIGKILL
    assert list(out.rglob("*.parquet.part"))
    manifest = seeded.frames().export(out, since=since)
    assert manifest.complete
    assert len(list(out.rglob("*.parquet"))) == len(manifest.parts)
    assert not list(out.rglob("*.part"))


def test_an_export_that_was_killed_before_its_first_file_goes_on(
    seeded, tmp_path: Path
):
    (tmp_path / ".manifest.json.part").write_text("{")
    assert seeded.frames().export(tmp_path, since="1d").complete


ATTEMPT = """
INSERT INTO authkit.auth_attempts (occurred_at, id, outcome)
VALUES ('2026-11-20 23:59:59.7Z', gen_random_uuid(), %s)
"""
SETTLED = """
UPDATE authkit.auth_attempts SET outcome = 'succeeded', settled_at = now(),
    risk_score = 1, risk_model = 'model', risk_model_version = '1'
WHERE outcome = 'pending'
"""


def days(database: Database, out: Path, name: str = "attempts") -> Manifest:
    frames = Frames(lambda: database.url, say=lambda _: None)
    return frames.export(out, since="2026-11-20", until="2026-11-21", name=name)


def run(database: Database, statement: str, *values: str) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute(statement, values)


def test_a_row_that_commits_after_its_day_was_exported_comes_with_the_next_run(
    database: Database, tmp_path: Path
):
    run(database, ATTEMPT, "failed")
    with psycopg.connect(database.url) as slow:
        slow.execute(ATTEMPT, ["failed"])
        assert days(database, tmp_path).rows == 1
    assert days(database, tmp_path).rows == 2


def test_a_login_that_is_settled_after_its_day_was_exported_is_written_again(
    database: Database, tmp_path: Path
):
    run(database, ATTEMPT, "pending")
    manifest = days(database, tmp_path)
    run(database, SETTLED)
    days(database, tmp_path)
    outcome = "SELECT outcome FROM read_parquet(?)"
    assert ask(manifest.pattern, outcome) == [("succeeded",)]


def test_a_login_that_is_scored_after_its_day_was_exported_comes_with_the_next_run(
    database: Database, tmp_path: Path
):
    run(
        database,
        ATTEMPT.replace("outcome)", "outcome, risk_model)").replace(
            "%s)", "%s, 'model')"
        ),
        "pending",
    )
    run(database, ATTEMPT, "pending")
    assert days(database, tmp_path, "scores").rows == 1
    run(database, SETTLED)
    assert days(database, tmp_path, "scores").rows == 2


def test_a_day_in_which_a_login_was_never_settled_is_not_written_twice(
    database: Database, tmp_path: Path
):
    run(database, ATTEMPT, "pending")
    (part,) = days(database, tmp_path).parts
    written = (tmp_path / part.path).stat().st_mtime_ns
    days(database, tmp_path)
    assert (tmp_path / part.path).stat().st_mtime_ns == written


def test_what_retention_has_deleted_stays_in_its_file(
    database: Database, tmp_path: Path
):
    run(database, ATTEMPT, "failed")
    before = days(database, tmp_path)
    run(database, "DELETE FROM authkit.auth_attempts")
    assert days(database, tmp_path) == before
    assert (tmp_path / before.parts[0].path).is_file()


def test_scores_and_the_trail_go_out_with_their_objects_as_text(seeded, tmp_path: Path):
    clear = seeded.frames(masked=False)
    scores = clear.export(tmp_path / "scores", since="2d", name="scores")
    [(terms,)] = ask(
        scores.pattern,
        "SELECT terms FROM read_parquet(?) WHERE terms IS NOT NULL LIMIT 1",
    )
    assert json.loads(str(terms))
    audit = clear.export(tmp_path / "audit", since="2000-01-01", until="2000-01-03")
    assert (audit.rows, audit.parts) == (0, ())


def test_what_cannot_be_exported_is_one_sentence(seeded, tmp_path: Path):
    frames = seeded.frames()
    frames.export(tmp_path / "out", since="1d")
    with pytest.raises(InvalidInput, match="holds masked attempts"):
        seeded.frames(masked=False).export(tmp_path / "out", since="1d")
    with pytest.raises(InvalidInput, match="other columns"):
        frames.export(tmp_path / "out", since="1d", columns=["outcome"])
    with pytest.raises(InvalidInput, match="not empty and holds no export"):
        frames.export(tmp_path, since="1d")
    with pytest.raises(InvalidInput, match="needs a beginning"):
        frames.export(tmp_path / "new", since=None)
    with pytest.raises(InvalidInput, match="sessions is not exported"):
        frames.export(tmp_path / "new", since="1d", name="sessions")


def test_frames_that_do_not_fit_come_in_pieces_of_one_moment(seeded):
    frames = seeded.frames()
    pieces = list(frames.stream("attempts", since="5d", rows=500))
    whole = frames.attempts(since="5d")
    assert len(pieces) > 1
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), whole)
    (empty,) = frames.stream("attempts", since="1999-01-01", until="1999-01-02")
    assert empty.dtypes.equals(whole.dtypes)
