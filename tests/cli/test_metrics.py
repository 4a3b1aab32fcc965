"""`authkit metrics`: served from a process of its own; alerts and a dashboard."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from authkit.cli import app


def test_alerts_are_printed():
    shown = CliRunner().invoke(app, ["metrics", "alerts"])
    assert shown.exit_code == 0
    assert "alert: AuthkitNotWritable" in shown.output


def test_the_dashboard_is_printed_as_grafana_imports_it():
    shown = CliRunner().invoke(app, ["metrics", "dashboard"])
    assert shown.exit_code == 0
    assert json.loads(shown.output)["title"] == "authkit"


def test_what_counting_costs_is_measured_in_turns(tmp_path: Path):
    # Too few pairs to judge: only that each was counted and a figure came.
    to = tmp_path / "cost.json"
    shown = CliRunner().invoke(
        app, ["metrics", "bench", "--pairs", "10", "--json", str(to)]
    )
    found = {each["name"]: each for each in json.loads(to.read_text())["figures"]}
    assert found["counted"]["value"] == 1000, shown.output
    assert found["added_us"]["goal"] == "<= 2"
    assert "operation_us" in shown.output


def test_metrics_are_served_until_ctrl_c(database: Any, tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-m", "authkit", "metrics", "serve", "--port", "0"],
        env={**os.environ, "DATABASE_URL": database.url, "DATABASE_REPLICA_URLS": ""},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        try:
            host, port = said.split("/")[2].split(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=20)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate()
    assert host == "127.0.0.1"
    assert "authkit_writable 1.0" in text
    assert server.returncode == 130
