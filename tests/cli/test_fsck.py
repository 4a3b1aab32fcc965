"""`authkit fsck`: what is printed, what is written, and how it exits."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from authkit.cli import app

pytestmark = pytest.mark.usefixtures("no_env")


def test_fsck_says_what_holds_and_exits_one_when_something_does_not(database: Any):
    env = {"DATABASE_URL": database.url, "DATABASE_REPLICA_URLS": database.replica_url}
    clean = CliRunner().invoke(app, ["fsck", "--replica"], env=env)
    assert clean.exit_code == 0, clean.output
    assert "(replica," in clean.output
    assert "Every audit entry has the hash of its bytes." in clean.output
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("UPDATE authkit.audit_chain_heads SET seq = 9 WHERE shard=1")
    broken = CliRunner().invoke(app, ["fsck", "--json", "-"], env=env)
    assert broken.exit_code == 1
    said = json.loads(broken.stdout)
    assert [v["name"] for v in said["violations"]] == ["chain_head"]
    assert {f["name"] for f in said["figures"] if not f["holds"]} == {"chain_head"}


def test_fsck_on_a_replica_asks_for_one():
    refused = CliRunner().invoke(
        app, ["fsck", "--replica"], env={"DATABASE_URL": "postgresql://nowhere"}
    )
    assert "names no replica" in str(refused.exception)
