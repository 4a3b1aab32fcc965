from __future__ import annotations

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
        kit.frames.clear.export(tmp_path / "clear", since="1d")
        case = kit.cases.open("first", "1d")
        assert len(case.attempts()) > 0
    assert entries(database) == [
        ("frames.clear", "frame:sessions", len(frame)),
        ("frames.clear", "frame:export.attempts", 0),
    ]


def test_without_a_primary_nothing_is_shown_in_clear(settings: Settings):
    with pytest.raises(NoPrimary):
        url_for_writing(settings, Topology.of([]))
