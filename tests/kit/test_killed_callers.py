"""A caller that is killed wherever it waits: for that, with nothing kept of it."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import waiting
from sqlalchemy import text

import authkit
from authkit.hot import RatePolicy
from authkit.ids import uuid7
from authkit.settings import Settings

MOST = 40
LEFT: list[Any] = []
LIMIT = RatePolicy("many", 100_000, timedelta(minutes=1))


class Killed(BaseException):
    """Stands for KeyboardInterrupt and GreenletExit, which are no Exceptions."""


class Waiting:
    """Waits as psycopg does, but kills who waits in this thread for the nth time."""

    def __init__(self) -> None:
        self.left = 0
        self._wait = waiting.wait
        self._thread = threading.get_ident()

    def __call__(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        if self.left and threading.get_ident() == self._thread:
            self.left -= 1
            if not self.left:
                next(gen, None)  # what it waits for is under way
                # Dropped here, the end of a pipeline of psycopg's would complain in
                # whatever test the collector comes by.
                LEFT.append(gen)
                raise Killed
        return self._wait(gen, *arguments, **options)


@pytest.fixture(scope="module")
def keyed(pair, template_db) -> Iterator[Settings]:
    """Settings of a database of this module's, with a key for tokens."""
    name = f"killed_{uuid7().hex}"
    pair.create_database(name, template=template_db)
    yield Settings.load(
        env_file=None,
        database_url=pair.url("primary", database=name),
        authkit_token_key=b64encode(bytes(32)).decode(),
    )
    pair.drop_database(name)
    while LEFT:
        with suppress(psycopg.OperationalError):  # its connection is closed
            LEFT.pop().close()


@pytest.fixture
def waits(monkeypatch) -> Waiting:
    """What psycopg's connections wait with."""
    made = Waiting()
    monkeypatch.setattr(waiting, "wait", made)
    return made


def log_in(kit: authkit.Kit) -> None:
    begun = kit.logins.begin(f"{uuid7()}@example.com", ip="192.0.2.1", user_agent="x")
    kit.logins.fail(begun, "unknown_user")


def unit_of_work(kit: authkit.Kit) -> None:
    with kit.unit_of_work(token=True) as uow:
        uow.users.create(f"{uuid7()}@example.com")
        uow.hot.rate_limits.check(str(uuid7()), "kill", LIMIT)


def transaction(kit: authkit.Kit) -> None:
    kit.cluster.run_with_token(lambda connection: connection.execute("SELECT 1"))


def lease(kit: authkit.Kit) -> None:
    with kit.cluster.writer() as connection, connection.pipeline():
        connection.execute("SELECT 1")


def one_statement(kit: authkit.Kit) -> None:
    kit.rate_limits.check(str(uuid7()), "kill", LIMIT)


def engine(kit: authkit.Kit) -> None:
    with kit.cluster.writer_engine().begin() as connection:
        connection.execute(text("SELECT 1"))


@pytest.mark.parametrize(
    "work", [log_in, unit_of_work, transaction, lease, one_statement, engine]
)
def test_nothing_replaces_the_reason_and_nothing_stays_out(
    keyed, waits: Waiting, work: Callable[[authkit.Kit], None]
):
    with authkit.connect(keyed) as kit:
        work(kit)
        for number in range(1, MOST):
            waits.left = number
            try:
                work(kit)
            except Killed:
                assert kit.cluster.status().nodes[0].in_use == 0
                work(kit)  # what it left is no trap for the next
            else:
                assert waits.left, "it was killed and went on"
                return
        pytest.fail("it waits without an end")


def be_killed() -> None:
    raise Killed


def test_an_error_that_nobody_was_killed_for_is_told_as_it_is(keyed):
    with authkit.connect(keyed) as kit:
        try:
            be_killed()
        except Killed:
            with (
                kit.cluster.writer() as connection,
                pytest.raises(psycopg.errors.DivisionByZero),
                connection.pipeline(),
            ):
                connection.execute("SELECT 1 / 0")
