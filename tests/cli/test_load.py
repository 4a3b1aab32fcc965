"""`authkit load`, as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from authkit.harness.slo import EVERY
from authkit.testing.plugin import Database
from authkit.workload.load import seed

GOALS = f"""
[[goal]]
operation = "{EVERY}"
error_rate = 0.0
"""


def load(*arguments: str, cwd: Path, **variables: str):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATABASE_", "AUTHKIT_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "authkit", "load", *arguments],
        cwd=cwd,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_load_runs_a_profile_and_judges_it_by_its_goals(
    database: Database, tmp_path: Path
):
    seed(database.url, users=40, days=2, seed=1)
    goals, report = tmp_path / "goals.toml", tmp_path / "report.html"
    goals.write_text(GOALS)
    ran = load(
        *("--profile", "session-read", "--users", "3", "--seconds", "2"),
        *("--slo", str(goals), "--report", str(report), "--json", "-"),
        *("--csv", str(tmp_path / "locust")),
        cwd=tmp_path,
        DATABASE_URL=database.url,
        DATABASE_REPLICA_URLS=database.replica_url,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["profile"], found["valid"]) == ("session-read", True)
    values = {figure["name"]: figure for figure in found["figures"]}
    assert values["*[all].error_rate"]["holds"] is True
    assert values["sessions.validate.p50_ms"]["value"] > 0
    assert "Session checks, as an API gateway makes them" in report.read_text()
    assert "sessions.validate" in (tmp_path / "locust_stats.csv").read_text()


def test_an_unknown_profile_lists_those_there_are(tmp_path: Path):
    ran = load("--profile", "nightly", cwd=tmp_path)
    assert ran.returncode == 2
    assert "there is no profile 'nightly'" in ran.stderr
    assert "mixed-day, oauth-code" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_rate_of_nothing_is_refused(tmp_path: Path):
    ran = load("--rate", "0", cwd=tmp_path)
    assert ran.returncode == 2
    assert "--rate must be above zero" in ran.stderr
