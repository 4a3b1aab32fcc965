"""`authkit risk` on a database of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from authkit.cli import app
from authkit.errors import InvalidInput
from authkit.risk import PastOnly
from authkit.workload.load import seed

END = datetime(2026, 11, 1, tzinfo=UTC)
SPAN = "--since 2026-10-20 --until 2026-11-01"


def run(words: str, url: str):
    environment = {"DATABASE_URL": url, "DATABASE_REPLICA_URLS": ""}
    arguments = [*words.split(), "--env-file", "/dev/null"]
    return CliRunner().invoke(app, arguments, env=environment)


def test_history_is_replayed_searched_and_counted_anew(database, tmp_path: Path):
    seed(database.url, users=120, days=20, seed=6, end=END, score=PastOnly())
    target = tmp_path / "figures.json"
    done = run(f"risk replay {SPAN} --json {target}", database.url)
    assert done.exit_code == 0, done.output
    figures = {f["name"]: f for f in json.loads(target.read_text())["figures"]}
    assert figures["kept scores that differ"]["value"] == 0
    assert figures["kept scores repeated bit for bit"]["value"] > 0
    done = run(f"risk detect {SPAN} --json {target}", database.url)
    assert done.exit_code == 0, done.output
    report = json.loads(target.read_text())
    assert {f["name"] for f in report["figures"]} >= {"brute_force", "mfa_fatigue"}
    assert all(finding["evidence"] for finding in report["findings"])
    done = run("risk rebuild", database.url)
    assert done.exit_code == 0, done.output
    assert "completed logins" in done.output
    done = run("risk maintain --horizon-days 1", database.url)
    assert done.exit_code == 0, done.output
    assert "Forgot" in done.output
    wrong = run(f"risk detect {SPAN} --only oracle", database.url)
    assert isinstance(wrong.exception, InvalidInput)
