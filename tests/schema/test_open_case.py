"""Who has a pseudonym in a case: everybody of its window, and nobody who is erased."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from authkit.ids import uuid7
from authkit.testing.plugin import Database

OPEN = "SELECT authkit.open_case('one', now() - interval '1 hour', now())"
ERASE = """UPDATE authkit.users SET erased_at = now(), disabled_at = now()
    WHERE email = 'ann@example.org'"""


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def person(owner: psycopg.Connection[Any]) -> UUID:
    """Somebody who tried to log in a moment ago."""
    person = uuid7()
    owner.execute(
        "INSERT INTO authkit.users (id, email) VALUES (%s, 'ann@example.org')", [person]
    )
    attempt(owner, person)
    return person


def attempt(owner: psycopg.Connection[Any], person: UUID) -> None:
    owner.execute(
        "INSERT INTO authkit.auth_attempts (occurred_at, id, user_id)"
        " VALUES (now() - interval '1 second', gen_random_uuid(), %s)",
        [person],
    )


def named(owner: psycopg.Connection[Any]) -> list[UUID]:
    """Return who has a pseudonym."""
    rows = owner.execute("SELECT user_id FROM authkit.case_pseudonyms")
    return [person for (person,) in rows.fetchall()]


def call(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def test_whoever_was_erased_is_nobody_in_a_case_that_is_opened_afterwards(
    owner: psycopg.Connection[Any], person: UUID
):
    owner.execute(ERASE)
    owner.execute(OPEN)
    assert named(owner) == []


def test_whoever_a_log_names_has_a_pseudonym_without_a_row_of_theirs(
    owner: psycopg.Connection[Any], person: UUID
):
    other = uuid7()
    attempt(owner, other)
    owner.execute(OPEN)
    assert set(named(owner)) == {person, other}


@pytest.mark.parametrize(
    ("first", "second"), [(ERASE, OPEN), (OPEN, ERASE)], ids=["erased", "opened"]
)
def test_whoever_is_erased_while_a_case_is_opened_is_nobody_in_it(
    owner: psycopg.Connection[Any],
    database: Database,
    waiting: Any,
    person: UUID,
    first: str,
    second: str,
):
    with psycopg.connect(database.url) as beginner:
        beginner.execute(first)
        with waiting(lambda: call(database.url, second), beginner) as acting:
            beginner.commit()
            acting.result(20)
    assert named(owner) == []
