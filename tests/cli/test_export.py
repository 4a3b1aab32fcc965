"""`authkit export parquet`, as a user starts it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from authkit.cli import app
from authkit.testing.plugin import Database
from authkit.workload.load import seed


def test_an_export_is_written_and_told_of(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    end = datetime(2026, 11, 1, tzinfo=UTC)
    summary = seed(database.url, users=40, days=3, seed=1, end=end)
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.chdir(tmp_path)
    asked = (
        "export parquet --to out --since 2026-10-29 --until 2026-11-01 --json f.json"
    )
    result = CliRunner().invoke(app, asked.split())
    if result.exception is not None:
        raise result.exception
    told = json.loads(Path("f.json").read_text())
    figures = {figure["name"]: figure["value"] for figure in told["figures"]}
    assert figures["rows"] == summary.attempts
    assert figures["files"] == len(list(tmp_path.rglob("*.parquet"))) == 3
    assert told["manifest"]["masked"] is True
