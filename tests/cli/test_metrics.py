"""`authkit metrics`: served from a process of its own, on loopback; alerts printed."""

from __future__ import annotations

import http.client
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
