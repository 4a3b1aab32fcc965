"""`authkit audit ...` on a database with a trail."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

import authkit
from authkit.cli.audit import app
from authkit.errors import InvalidInput
from authkit.ids import uuid7
from authkit.settings import Settings
from authkit.testing.plugin import Database

ENTRIES = 40


@pytest.fixture(scope="module")
def database(pair, template_db) -> Iterator[Database]:
    name = f"audit_{uuid7().hex}"
    pair.create_database(name, template=template_db)
    pair.wait_replayed()
    found = Database(name, pair.url(database=name), pair.url("replica", database=name))
    settings = Settings.load(env_file=None, database_url=found.url)
    with authkit.connect(settings) as kit:
        for number in range(ENTRIES):
            with kit.unit_of_work(actor="user:ann", correlation_id="r1") as uow:
                uow.audit.append("door.open", target=f"door:{number % 2}")
    yield found
    pair.drop_database(name)


@pytest.fixture
def run(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        env = {"DATABASE_URL": database.url, "DATABASE_REPLICA_URLS": ""}
        return CliRunner().invoke(app, arguments, env=env)

    return call


@pytest.fixture
def signed(run) -> tuple[str, ...]:
    """A key, a checkpoint under it, and how to verify with them."""
    assert run("key", "key").exit_code == 0
    taken = run("checkpoint", "--key", "key", "--out", "log")
    assert taken.exit_code == 0, taken.output
    return "--checkpoints", "log", "--public-key", "key.pub"


def test_an_untouched_trail_holds(run, signed):
    found = run("verify")
    assert (found.exit_code, "hold" in found.output) == (0, True)
    assert "nobody sees a tail that was cut off" in found.output
    found = run("verify", *signed, "--json", "-")
    assert found.exit_code == 0
    report = json.loads(found.stdout)
    figures = {figure["name"]: figure["value"] for figure in report["figures"]}
    assert report["command"] == "audit verify"
    assert (figures["entries"], figures["broken"]) == (ENTRIES, 0)
    assert figures["checkpoints"] == 1


def test_an_edited_entry_is_named_and_the_exit_code_is_1(run, database):
    with psycopg.connect(database.url, autocommit=True) as mallory:
        mallory.execute("SET session_replication_role = replica")
        change = "UPDATE authkit.audit_logs SET actor = %s WHERE target = 'door:0'"
        mallory.execute(change, ("user:bob",))
        found = run("verify")
        mallory.execute(change, ("user:ann",))
    assert found.exit_code == 1
    assert "BROKEN: audit entry" in found.output
    assert "a column differs from the stored bytes (actor)" in found.output
    assert run("verify").exit_code == 0


def test_checkpoints_go_on_until_the_trail_is_shorter(run, signed, database):
    again = run(
        "checkpoint", "--key", "key", "--out", "log", "--every", "0.1", "--rounds", "3"
    )
    assert (again.exit_code, again.output.count("on timeline 1")) == (0, 3)
    assert len(Path("log").read_text().splitlines()) == 4
    with psycopg.connect(database.url, autocommit=True) as mallory:
        head = (
            "UPDATE authkit.audit_chain_heads SET seq = seq + %s WHERE shard ="
            " (SELECT shard FROM authkit.audit_logs ORDER BY shard LIMIT 1)"
        )
        mallory.execute(head, (-1,))
        refused = run("checkpoint", "--key", "key", "--out", "log")
        mallory.execute(head, (1,))
    assert refused.exit_code == 1
    assert "NOT SIGNED" in refused.output
    assert run("verify", *signed).exit_code == 0


def test_a_key_is_readable_by_its_user_alone_and_never_overwritten(run):
    assert run("key", "key").exit_code == 0
    assert stat.S_IMODE(Path("key").stat().st_mode) == 0o600
    before = Path("key").read_bytes()
    again = run("key", "key")
    assert isinstance(again.exception, InvalidInput)
    assert Path("key").read_bytes() == before
    assert "PRIVATE" not in Path("key.pub").read_text()


def test_the_trail_is_printed_by_what_is_asked(run):
    found = run("trail", "--actor", "user:ann", "--target", "door:1", "--limit", "5")
    lines = found.output.splitlines()
    assert len(lines) == 5
    assert all("user:ann door.open on door:1: succeeded" in line for line in lines)
    report = json.loads(run("trail", "--action", "door.open", "--json", "-").stdout)
    assert len(report["entries"]) == ENTRIES
    assert report["entries"][0]["correlation_id"] == "r1"
    assert run("trail", "--since", "2099-01-01").output == ""
    assert run("trail", "--until", "2000-01-01").output == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify", "--checkpoints", "log"), "given together"),
        (("verify", "--checkpoints", "no", "--public-key", "key.pub"), "cannot read"),
        (("verify", "--checkpoints", "log", "--public-key", "no"), "cannot read"),
        (("verify", "--checkpoints", "log", "--public-key", "log"), "no public key"),
        (("checkpoint", "--key", "no", "--out", "log"), "cannot read"),
        (("checkpoint", "--key", "log", "--out", "log"), "no private key"),
        (("checkpoint", "--key", "key", "--out", "none/log"), "cannot write"),
    ],
)
def test_bad_input_is_one_clear_sentence(run, signed, arguments: Any, says: str):
    del signed
    found = run(*arguments)
    assert isinstance(found.exception, InvalidInput)
    assert says in str(found.exception)
