"""`accept` on real nodes: what it finds, what it leaves behind, and how it ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from authkit.errors import ConfigError
from authkit.lab import cluster
from authkit.ops import connection, migrate, trial
from authkit.ops.acceptance import Acceptance, accept
from authkit.ops.findings import Level
from authkit.ops.validate import validate
from authkit.settings import Settings


def settings_of(url: str, *replicas: str) -> Settings:
    return Settings.load(
        env_file=None, database_url=url, database_replica_urls=replicas
    )


def names(result: Acceptance, level: Level) -> list[str]:
    return [f.name for f in result.findings if f.level is level]


def rows_left(url: str) -> int:
    with psycopg.connect(url) as reader:
        row = reader.execute(
            "SELECT count(*) FROM authkit.rate_limit_tracking"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_migrated_pair_passes_and_keeps_no_trace(database: Any):
    result = accept(settings_of(database.url, database.replica_url))
    assert result.passed, [f for f in result.findings if f.level is Level.FAULT]
    good = names(result, Level.GOOD)
    for step in (
        "one_primary",
        "wrote",
        "read_back",
        "replicated",
        "refuses_writes",
        "refuses_duplicate",
        "refuses_invalid",
        "cleaned",
    ):
        assert step in good
    assert rows_left(database.url) == 0


def test_what_was_measured_is_in_the_figures(database: Any):
    result = accept(settings_of(database.url, database.replica_url))
    figures = {figure.name: figure for figure in result.figures}
    assert figures["nodes_answering"].holds
    assert figures["faults"].value == 0
    assert isinstance(figures["commit_ms"].value, float)
    assert isinstance(figures["replica_visible_ms"].value, float)


def test_the_roles_of_the_nodes_are_discovered_not_configured(database: Any):
    swapped = accept(settings_of(database.replica_url, database.url))
    assert swapped.passed
    assert "replicated" in names(swapped, Level.GOOD)


def test_a_replica_alone_is_no_database_to_write_to(database: Any):
    result = accept(settings_of(database.replica_url))
    assert names(result, Level.FAULT) == ["no_primary"]


def test_a_database_without_our_schema_is_a_fault_with_advice(empty_url: str):
    result = accept(settings_of(empty_url))
    (only,) = [f for f in result.findings if f.level is Level.FAULT]
    assert (only.name, only.advice) == ("not_migrated", "authkit db setup")


def test_a_node_that_does_not_answer_is_named_and_the_others_are_tested(database: Any):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        nobody = f"postgresql://authkit:secret@127.0.0.1:{port}/authkit"
        result = accept(settings_of(database.url, database.replica_url, nobody))
    (only,) = [f for f in result.findings if f.level is Level.FAULT]
    assert only.name == "unreachable"
    assert str(port) in only.where
    assert "secret" not in repr(only)
    assert "replicated" in names(result, Level.GOOD)
    assert not {f.name: f for f in result.figures}["nodes_answering"].holds


def test_a_wrong_password_is_told_apart_and_not_repeated(pair: Any):
    url = pair.url().replace(":", ":", 1)
    parts = psycopg.conninfo.conninfo_to_dict(url)
    wrong = psycopg.conninfo.make_conninfo(url, password="wrong-password")
    result = accept(settings_of(wrong))
    found = next(f for f in result.findings if f.name == "unreachable")
    assert "password" in found.what
    assert "wrong-password" not in repr(result.findings)
    assert str(parts["password"]) not in repr(result.findings)


def test_a_constraint_that_is_gone_is_noticed(database: Any):
    with psycopg.connect(database.url) as owner:
        owner.execute(
            "ALTER TABLE authkit.rate_limit_tracking"
            " DROP CONSTRAINT rate_limit_tracking_hits_range_check"
        )
    result = accept(settings_of(database.url))
    assert "accepts_invalid" in names(result, Level.FAULT)
    assert rows_left(database.url) == 0


@pytest.fixture
def app_login(pair: Any) -> Iterator[str]:
    """A login role as an application should have it."""
    pair.sql("CREATE ROLE app_login_test LOGIN PASSWORD 'pw' IN ROLE authkit_app")
    yield "app_login_test"
    pair.sql("DROP ROLE app_login_test")


def test_a_login_with_no_more_than_the_applications_rights_passes(
    database: Any, app_login: str
):
    def login(url: str) -> str:
        return psycopg.conninfo.make_conninfo(url, user=app_login, password="pw")

    result = accept(settings_of(login(database.url), login(database.replica_url)))
    assert result.passed, [f for f in result.findings if f.level is Level.FAULT]
    assert "superuser" not in names(result, Level.NOTE)
    with connection.transaction(login(database.url)) as opened:
        assert [f.name for f in validate(opened)] == ["as_declared"]


def test_a_replica_that_hangs_is_named_and_no_wait_is_for_ever(
    monkeypatch: pytest.MonkeyPatch,
):
    """A frozen synchronous replica: connecting to it and every commit would hang."""
    monkeypatch.setattr(trial, "_WAIT_S", 0.5)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 2)
    with cluster(replicas=1, config={"fsync": "off"}) as lab:
        primary, replica = lab.url("primary"), lab.url("replica")
        migrate.upgrade(primary)
        lab.freeze("replica")
        result = accept(settings_of(primary, replica))
        assert names(result, Level.FAULT) == ["unreachable", "commit_waits"]
        assert rows_left(primary) == 0


def test_without_a_database_url_it_says_so():
    with pytest.raises(ConfigError, match="DATABASE_URL is not set"):
        accept(Settings(database_url=None))
