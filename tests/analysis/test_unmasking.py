from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

import authkit
from authkit.cluster import Topology
from authkit.errors import NoPrimary
from authkit.kit.reading import url_for_writing
from authkit.settings import Settings
from authkit.testing.plugin import Database
from authkit.workload.load import seed

ENTRIES = """
SELECT action, target, (details ->> 'rows')::int FROM authkit.audit_logs
WHERE action = 'frames.clear' ORDER BY recorded_at
"""


def entries(database: Database) -> list[tuple[object, ...]]:
    with psycopg.connect(database.url) as connection:
        return connection.execute(ENTRIES).fetchall()


def test_reading_in_clear_leaves_an_entry_and_reading_masked_none(
    settings: Settings, database: Database, tmp_path: Path
):
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    seed(database.url, users=20, days=2, seed=1, end=end)
    with authkit.connect(settings) as kit:
        kit.frames.attempts()
        kit.frames.export(tmp_path / "masked", since="1d")
        assert entries(database) == []
        frame = kit.frames.clear.sessions(since=None)
        case = kit.cases.open("first", "1d")
        assert len(case.attempts()) > 0
    assert entries(database) == [
        ("frames.clear", "frame:sessions", len(frame)),
    ]


def test_an_export_in_clear_leaves_its_days_before_and_its_rows_after(
    settings: Settings, database: Database, tmp_path: Path
):
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO authkit.auth_attempts (occurred_at, id) SELECT at,"
            " gen_random_uuid() FROM (VALUES (timestamptz '2026-11-20 01:00Z'),"
            " ('2026-11-21 13:00Z')) AS v (at)"
        )
        with authkit.connect(settings) as kit:
            kit.frames.clear.export(tmp_path, "2026-11-20T12:00", "2026-11-21T12:00")
        told = connection.execute(
            "SELECT target, details FROM authkit.audit_logs ORDER BY recorded_at"
        ).fetchall()
    days = {"since": "2026-11-20T00:00:00+00:00", "until": "2026-11-21T12:00:00+00:00"}
    assert told == [
        ("frame:export.attempts", {**days, "rows": None}),
        ("frame:export.attempts", {**days, "rows": 1}),
    ]


@pytest.mark.parametrize(("clear", "others"), [(True, 0), (False, 0o044)])
def test_only_the_owner_may_read_what_was_exported_in_clear(
    settings: Settings, database: Database, tmp_path: Path, clear: bool, others: int
):
    with psycopg.connect(database.url) as connection:
        connection.execute(
            "INSERT INTO authkit.auth_attempts (id) VALUES (gen_random_uuid())"
        )
    usual = os.umask(0o022)
    try:
        with authkit.connect(settings) as kit:
            frames = kit.frames.clear if clear else kit.frames
            frames.export(tmp_path, since="1d")
    finally:
        os.umask(usual)
    (path,) = tmp_path.rglob("*.parquet")
    assert path.stat().st_mode & 0o077 == others


def test_without_a_primary_nothing_is_shown_in_clear(settings: Settings):
    with pytest.raises(NoPrimary):
        url_for_writing(settings, Topology.of([]))
