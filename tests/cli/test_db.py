"""`authkit db ...`: what is printed, what is written, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from authkit.cli.db import app
from authkit.errors import ConfigError, InvalidInput, SchemaMismatch

EMPTY = "postgresql://authkit:secret@127.0.0.1:1/none"


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "DATABASE_REPLICA_URLS"):
        monkeypatch.delenv(name, raising=False)


def run(database: Any, *arguments: str) -> Result:
    """Run a command against a test's database; authkit's errors come out as raised."""
    env = {
        "DATABASE_URL": database if isinstance(database, str) else database.url,
        "DATABASE_REPLICA_URLS": getattr(database, "replica_url", ""),
    }
    return CliRunner().invoke(app, arguments, env=env)


@pytest.fixture
def precious(database: Any) -> Any:
    """The test's database, as if it were no lab's."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET authkit.lab = ''")
    return database


def value(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_test_prints_every_finding_in_words_and_succeeds(database: Any):
    result = run(database, "test")
    assert result.exit_code == 0, result.output
    for words in (
        "a primary, PostgreSQL",
        "a replica, PostgreSQL",
        "wrote a row",
        "read the row back",
        "has the row too",
        "refuses to write, as a replica must",
        "the error is named: AlreadyExists",
        "the error is named: Conflict",
        "removed the row",
        "The database is fit for use.",
    ):
        assert words in result.output


def test_test_writes_the_figures_as_json(database: Any, tmp_path: Path):
    target = tmp_path / "figures.json"
    assert run(database, "test", "--json", str(target)).exit_code == 0
    written = json.loads(target.read_text())
    assert written["command"] == "db test"
    assert {"nodes_answering", "faults", "commit_ms", "replica_visible_ms"} <= {
        figure["name"] for figure in written["figures"]
    }
    assert {"level", "where", "name", "what", "advice"} == set(written["findings"][0])


def test_test_prints_json_alone_to_standard_output(database: Any):
    result = run(database, "test", "--json", "-")
    assert json.loads(result.stdout)["command"] == "db test"


def test_test_of_an_unfit_database_exits_with_1_and_says_what_to_do(database: Any):
    with psycopg.connect(database.url) as connection:
        connection.execute("DELETE FROM authkit.alembic_version")
    result = run(database, "test")
    assert result.exit_code == 1
    assert "FAULT" in result.output
    assert "authkit db setup" in result.output


def test_test_of_a_server_that_does_not_answer_exits_with_1_without_the_password():
    result = run(EMPTY, "test")
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.output
    assert "secret" not in result.output


def test_setup_twice_does_nothing_the_second_time(database: Any):
    assert run(database, "setup").exit_code == 0
    second = run(database, "setup")
    assert second.exit_code == 0
    assert "Nothing was left to do." in second.output


def test_setup_creates_the_database_if_asked(pair: Any):
    url = pair.url(database="cli_created")
    try:
        missing = run(url, "setup")
        assert isinstance(missing.exception, ConfigError)
        created = run(url, "setup", "--create")
        assert created.exit_code == 0
        assert "Created the database." in created.output
    finally:
        pair.drop_database("cli_created")


def test_migrate_down_and_up_again(database: Any):
    named = ["--database", database.name, "--yes-really", database.name]
    down = run(database, "downgrade", "0002", *named)
    assert (down.exit_code, down.output) == (0, "The database is at revision 0002.\n")
    status = run(database, "status")
    assert status.exit_code == 1
    assert "4 to come: 0003, 0004, 0005, 0006" in status.output
    up = run(database, "migrate")
    assert (up.exit_code, up.output) == (0, "The database is at revision 0006.\n")


def test_downgrade_keeps_the_data_of_a_database_that_is_no_lab(precious: Any):
    assert isinstance(run(precious, "downgrade", "base").exception, InvalidInput)
    assert value(precious.url, "SELECT count(*) FROM authkit.roles") == 3


def test_migrate_prints_sql_and_needs_no_database():
    result = CliRunner().invoke(app, ["migrate", "--sql"])
    assert result.exit_code == 0
    assert result.output.startswith("BEGIN;")
    assert "CREATE TABLE authkit.auth_attempts" in result.output
    assert "audit_append" in result.output
    back = CliRunner().invoke(app, ["downgrade", "0004:0003", "--sql"])
    assert "DROP VIEW authkit.audit_masked" in back.output


def test_migrate_refuses_a_newer_database(database: Any):
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE authkit.alembic_version SET version_num = '9999'")
    assert isinstance(run(database, "migrate").exception, SchemaMismatch)


def test_generate_says_that_nothing_differs(database: Any):
    result = run(database, "generate", "-m", "nothing")
    assert result.exit_code == 0
    assert result.output == "Nothing differs: no revision was written.\n"


def test_status_shows_the_revision_the_partitions_and_the_tables(database: Any):
    result = run(database, "status")
    assert result.exit_code == 0
    for words in ("newest revision, 0006", "daily partitions from", "auth_attempts"):
        assert words in result.output


def test_status_and_validate_write_json(database: Any):
    status = json.loads(run(database, "status", "--json").stdout)
    assert status["schema"]["current"] == "0006"
    findings = json.loads(run(database, "validate", "--json").stdout)
    assert [finding["name"] for finding in findings] == ["as_declared"]


def test_validate_exits_with_1_where_something_differs(database: Any):
    assert run(database, "validate").exit_code == 0
    with psycopg.connect(database.url) as connection:
        connection.execute("GRANT DELETE ON authkit.users TO authkit_app")
    result = run(database, "validate")
    assert result.exit_code == 1
    assert "may DELETE users" in result.output


def test_seed_fills_both_layers_and_clear_empties_them(database: Any):
    seeded = run(database, "seed", "--users", "20", "--days", "2", "--seed", "7")
    assert seeded.exit_code == 0, seeded.output
    assert "Seeded 20 users" in seeded.output
    assert value(database.url, "SELECT count(*) FROM authkit.users") == 20
    assert value(database.url, "SELECT count(*) FROM authkit.auth_attempts") > 0
    named = ["--database", database.name, "--yes-really", database.name]
    assert run(database, "clear", *named).exit_code == 0
    assert value(database.url, "SELECT count(*) FROM authkit.users") == 0
    assert value(database.url, "SELECT count(*) FROM authkit.roles") == 3


def test_seed_asks_for_the_newest_schema(database: Any):
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE authkit.alembic_version SET version_num = '0003'")
    assert isinstance(run(database, "seed").exception, SchemaMismatch)


@pytest.mark.parametrize("command", ["reset", "clear"])
def test_reset_and_clear_refuse_what_is_no_lab_and_not_named_twice(
    precious: Any, command: str
):
    for named in (
        [],
        ["--database", precious.name],
        ["--database", precious.name, "--yes-really", "another"],
    ):
        assert isinstance(run(precious, command, *named).exception, InvalidInput)


def test_a_lab_is_reset_without_being_named(database: Any):
    assert run(database, "reset").exit_code == 0


def test_reset_begins_anew(database: Any):
    with psycopg.connect(database.url) as connection:
        connection.execute("INSERT INTO authkit.write_keys VALUES ('k', 'applied')")
    named = ["--database", database.name, "--yes-really", database.name]
    assert run(database, "reset", *named).exit_code == 0
    assert value(database.url, "SELECT count(*) FROM authkit.write_keys") == 0


def authkit(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DATABASE_")}
    return subprocess.run(
        [sys.executable, "-m", "authkit", "db", *arguments],
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_database_it_is_one_sentence_and_exit_code_2():
    result = authkit("status")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.strip().count("\n") == 0
    assert "DATABASE_URL is not set" in result.stderr


def test_a_server_that_is_away_is_one_sentence_and_exit_code_2():
    result = authkit("migrate", DATABASE_URL=EMPTY)
    assert result.returncode == 2
    assert result.stderr.strip() == (
        "authkit: cannot connect to none on 127.0.0.1:1: is the server running?"
    )


def test_a_seeded_world_ends_where_it_is_told_and_its_attempts_are_scored(
    database: Any,
):
    arguments = ("--users", "30", "--days", "3", "--until", "2026-03-01")
    seeded = run(database, "seed", *arguments)
    assert seeded.exit_code == 0, seeded.output
    newest = "SELECT max(occurred_at) < '2026-03-01+00' FROM authkit.auth_attempts"
    assert value(database.url, newest)
    scored = "SELECT count(risk_score) > 0 FROM authkit.auth_attempts"
    assert value(database.url, scored)
    # The counts are there as well, and leave with the daily maintenance.
    counted = "SELECT logins FROM authkit.risk_totals"
    before = value(database.url, counted)
    assert before > 0
    done = run(database, "maintain", "--json", "-")  # all of it is older than 182 days
    figures = {f["name"]: f["value"] for f in json.loads(done.stdout)["figures"]}
    assert figures["risk_logins_forgotten"] == before
    assert figures["risk_changes_merged"] == before
    assert value(database.url, counted) == 0


def test_maintain_says_what_it_did_and_writes_the_figures(database: Any):
    shown = run(database, "maintain", "--dry-run", "--ahead-days", "20")
    assert shown.exit_code == 0, shown.output
    assert "would be made ahead" in shown.output
    written = run(database, "maintain", "--ahead-days", "20", "--json", "-")
    assert written.exit_code == 0
    figures = json.loads(written.stdout)
    assert figures["command"] == "db maintain"
    names = {figure["name"] for figure in figures["figures"]}
    assert {"partitions_made", "purged_sessions", "purged_write_keys"} <= names
