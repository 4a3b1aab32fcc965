"""`authkit risk` on a database of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
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
    words = "--model hdir --model freeman2016 --rate 0.005 --rate 0.2"
    done = run(f"risk replay --since 0001-01-01 {words} --json {target}", database.url)
    assert done.exit_code == 0, done.output
    every = {f["name"]: f["value"] for f in json.loads(target.read_text())["figures"]}
    assert every["attempts"] > figures["attempts"]["value"]
    for one in ("hdir", "freeman2016"):
        few, many = (
            every[f"others above it where {rate}% of logins asked again, {one}"]
            for rate in ("0.5", "20")
        )
        assert few < many
    for twice in ("--model hdir --model hdir", "--rate 0.1 --rate 0.1", "--rate nan"):
        wrong = run(f"risk replay {SPAN} {twice}", database.url)
        assert isinstance(wrong.exception, InvalidInput)
    each = tmp_path / "scores.csv"
    done = run(f"risk replay {SPAN} --scores {each}", database.url)
    assert done.exit_code == 0, done.output
    head, *rows = each.read_text().splitlines()
    assert head == "id,occurred_at,completed,mismatch,hdir"
    assert len(rows) == figures["attempts"]["value"]
    wrong = run(f"risk replay {SPAN} --model oracle", database.url)
    assert isinstance(wrong.exception, InvalidInput)
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
    listed = tmp_path / "listed"
    listed.write_text("0.0.0.0/0  # everybody\n::/0\n")
    done = run(
        f"risk detect {SPAN} --only listed_address --listed {listed} --json {target}",
        database.url,
    )
    assert done.exit_code == 0, done.output
    assert json.loads(target.read_text())["figures"][0]["value"] > 0
    listed.write_text("192.0.2.1\nnonsense\n")
    wrong = run(f"risk detect {SPAN} --listed {listed}", database.url)
    assert isinstance(wrong.exception, InvalidInput)
    assert "line 2" in str(wrong.exception)
    wrong = run("risk detect", database.url)
    assert "--since" in str(wrong.exception)
    wrong = run(f"risk detect {SPAN} --only oracle", database.url)
    assert isinstance(wrong.exception, InvalidInput)


@pytest.mark.slow
def test_a_world_is_searched_on_a_server_of_its_own(tmp_path: Path):
    target = tmp_path / "figures.json"
    done = run(f"risk detect --world 3 --users 150 --days 30 --json {target}", "")
    report = json.loads(target.read_text())
    figures = {f["name"]: f for f in report["figures"]}
    assert report["synthetic"] is True
    assert "synthetic world" in done.output
    assert done.exit_code in {0, 1}, done.output
    assert figures["campaigns, mfa_fatigue"]["value"] >= 1
    assert figures["campaigns missed, mfa_fatigue"]["holds"] is True
    assert figures["false alarms, brute_force"]["value"] == 0
