"""`authkit health`: what is printed, what is written, and how it exits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from authkit.cli import app
from authkit.ops.database import setup


@pytest.mark.usefixtures("no_env")
def test_health_prints_each_node_and_writes_its_figures(database: Any, pair: Any):
    setup(database.url)
    pair.wait_replayed()
    env = {"DATABASE_URL": database.url, "DATABASE_REPLICA_URLS": database.replica_url}
    shown = CliRunner().invoke(app, ["health"], env=env)
    assert shown.exit_code == 0, shown.output
    assert "a primary on timeline" in shown.output
    assert "healthy, asked in" in shown.output
    written = CliRunner().invoke(app, ["health", "--json", "-"], env=env)
    said = json.loads(written.stdout)
    assert said["command"] == "health"
    assert said["condition"] == "healthy"
    assert {f["name"]: f["value"] for f in said["figures"]}["nodes_answering"] == 2
    took = CliRunner().invoke(app, ["health", "--rounds", "3", "--json", "-"], env=env)
    rounds = json.loads(took.stdout)
    figures = {f["name"]: f["value"] for f in rounds["figures"]}
    assert (rounds["rounds"], rounds["nodes"]) == (3, 2)
    assert 0 < figures["health_p50_ms"] <= figures["health_max_ms"]
    assert figures["round_trips_per_node_max"] == 1
    assert (figures["nodes_silent"], figures["faults"]) == (0, 0)
    assert "health_max_ms: " in took.stderr


@pytest.mark.usefixtures("no_env")
def test_health_exits_two_when_nothing_answers():
    nowhere = {"DATABASE_URL": "postgresql://authkit:hidden@127.0.0.1:1/none"}
    shown = CliRunner().invoke(app, ["health"], env=nowhere)
    assert shown.exit_code == 2, shown.output
    assert "nobody can log in" in shown.output
    rounds = CliRunner().invoke(app, ["health", "--rounds", "2"], env=nowhere)
    assert rounds.exit_code == 1, rounds.output
    assert "nodes_silent: 2" in rounds.output
    assert "hidden" not in shown.output
