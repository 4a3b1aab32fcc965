"""`authkit rbac ...` on a small organisation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import authkit
from authkit.cli.rbac import app
from authkit.errors import InvalidInput, NotFound
from authkit.ids import uuid7
from authkit.settings import Settings
from authkit.testing.plugin import Database


@pytest.fixture(scope="module")
def database(pair, template_db) -> Iterator[Database]:
    name = f"rbac_{uuid7().hex}"
    pair.create_database(name, template=template_db)
    pair.wait_replayed()
    found = Database(name, pair.url(database=name), pair.url("replica", database=name))
    settings = Settings.load(env_file=None, database_url=found.url)
    with authkit.connect(settings) as kit, kit.unit_of_work() as uow:
        uow.permissions.create("invoice:pay", when={"equals": {"region": "eu"}})
        uow.permissions.create("invoice:read")
        uow.roles.create("clerk")
        uow.roles.create("reader")
        uow.roles.allow("clerk", "invoice:pay")
        for role in ("clerk", "reader"):
            uow.roles.allow(role, "invoice:read")
        ann = uow.users.create("ann@example.com")
        bob = uow.users.create("bob@example.com")
        uow.roles.grant(ann.id, "clerk", granted_by=bob.id)
        uow.roles.grant(bob.id, "reader")
    yield found
    pair.drop_database(name)


@pytest.fixture
def run(database: Database):
    def call(*arguments: str) -> Result:
        env = {"DATABASE_URL": database.url, "DATABASE_REPLICA_URLS": ""}
        return CliRunner().invoke(app, arguments, env=env)

    return call


def test_what_is_allowed_is_explained_by_the_role_that_carries_it(run):
    found = run("explain", "Ann@Example.com", "invoice:read")
    assert found.exit_code == 0, found.output
    assert "invoice:read: allowed, granted by a role" in found.output
    assert "clerk -> invoice:read: holds" in found.output
    assert "by user" in found.output


def test_what_is_not_allowed_says_why_and_exits_with_1(run):
    found = run("explain", "bob@example.com", "invoice:pay")
    assert (found.exit_code, "no role of the user carries it" in found.output) == (
        1,
        True,
    )


def test_conditions_look_at_the_context_that_is_given(run):
    asked = ("explain", "ann@example.com", "invoice:pay")
    refused = run(*asked)
    assert refused.exit_code == 1
    assert 'only if {"equals": {"region": "eu"}}' in refused.output
    assert run(*asked, "--context", "region=us").exit_code == 1
    allowed = run(*asked, "--context", "region=eu", "--json", "-")
    assert allowed.exit_code == 0
    report = json.loads(allowed.stdout)
    assert (report["role"], report["paths"][0]["holds"]) == ("clerk", True)
    by_id = run("explain", report["user_id"], "invoice:pay", "--context", "region=eu")
    assert by_id.exit_code == 0


def test_who_can_lists_every_holder_and_what_depends_on_the_request(run):
    found = run("who-can", "invoice:read")
    assert found.exit_code == 0
    assert "2 may invoice:read" in found.output
    assert "(under conditions)" in run("who-can", "invoice:pay").output
    report = json.loads(run("who-can", "invoice:read", "--json", "-").stdout)
    assert sorted(holder["roles"] for holder in report["holders"]) == [
        ["clerk"],
        ["reader"],
    ]
    assert "1 or more" in run("who-can", "invoice:read", "--limit", "1").output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("explain", "nobody@example.com", "invoice:read"), NotFound),
        (("explain", "ann@example.com", "invoice"), InvalidInput),
        (("who-can", "*"), InvalidInput),
    ],
)
def test_bad_input_is_one_clear_sentence(run, arguments: Any, error: Any):
    assert isinstance(run(*arguments).exception, error)


def test_a_context_that_is_no_pair_is_refused(run):
    found = run("explain", "ann@example.com", "invoice:read", "--context", "region")
    assert found.exit_code == 2
