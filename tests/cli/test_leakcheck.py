"""`authkit leakcheck`: its report and its exit."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from authkit.cli import app
from authkit.ops.leakcheck import Leak, LeakCheck


def test_a_leak_is_named_without_the_secret_and_exits_one(
    monkeypatch: pytest.MonkeyPatch,
):
    leak = Leak("session token", "log of the server", "in clear")
    found = LeakCheck(datetime.now(UTC), 1.0, "18.6", 3, 9, 1000, (leak,))
    monkeypatch.setattr("authkit.ops.leakcheck.leakcheck", lambda: found)
    shown = CliRunner().invoke(app, ["leakcheck"])
    assert shown.exit_code == 1
    assert "log of the server: the session token, in clear" in shown.output
    written = CliRunner().invoke(app, ["leakcheck", "--json", "-"])
    said = json.loads(written.stdout)
    assert said["leaks"] == [
        {"secret": "session token", "place": "log of the server", "form": "in clear"}
    ]
