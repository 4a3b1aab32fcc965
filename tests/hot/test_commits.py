"""What COMMIT itself does to a call: refused at the last moment, or never told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

import authkit
from authkit.errors import RetryLater
from authkit.hot import Cap, NewSession
from authkit.settings import Settings

# As where every transaction is serializable: refused after its rows went out.
REFUSE = """
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE SQLSTATE '40001'; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON authkit.active_sessions
        DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.country = 'AQ') EXECUTE FUNCTION public.refuse()
"""
# Stands before PostgreSQL's own; the probes ask as well, and are not stopped.
STOP = """
    CREATE SCHEMA stopping;
    CREATE FUNCTION stopping.pg_current_wal_insert_lsn() RETURNS pg_lsn LANGUAGE sql
    AS $$ SELECT pg_catalog.pg_current_wal_insert_lsn()
          WHERE current_setting('application_name') = 'authkit probe'
             OR pg_terminate_backend(pg_backend_pid()) $$;
"""
Create = Callable[..., NewSession]


@pytest.fixture(params=["main thread", "thread", "async"])
def calls(request) -> Callable[[Settings, list[dict[str, object]]], list[object]]:
    """Begin sessions one after the other; return what came of each, errors too."""

    def in_turn(settings: Settings, many: list[dict[str, object]]) -> list[object]:
        outcomes: list[object] = []
        with authkit.connect(settings) as kit:
            for options in many:
                try:
                    outcomes.append(kit.sessions.create(**options))
                except RetryLater as exc:
                    outcomes.append(exc)
        return outcomes

    async def awaited(settings, many):
        outcomes: list[object] = []
        async with authkit.connect_async(settings) as kit:
            for options in many:
                try:
                    outcomes.append(await kit.sessions.create(**options))
                except RetryLater as exc:
                    outcomes.append(exc)
        return outcomes

    def run(settings: Settings, many: list[dict[str, object]]) -> list[object]:
        if request.param == "async":
            return asyncio.run(awaited(settings, many))
        if request.param == "main thread":
            return in_turn(settings, many)
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(in_turn, settings, many).result()

    return run


def one_connection(url: str) -> Settings:
    """What is left on the connection is what the next call finds."""
    return Settings.load(
        None, database_url=url, database_pool_min=1, database_pool_max=1
    )


@pytest.fixture(scope="module")
def single(database) -> Settings:
    """Settings for one connection."""
    return one_connection(database.url)


@pytest.fixture(scope="module")
def refusing(superuser) -> None:
    """No session of Antarctica can be committed."""
    superuser.execute(REFUSE)


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("cap", [None, Cap(3)], ids=["alone", "behind a lock"])
def test_a_write_whose_commit_is_refused_is_no_success(
    calls, single, superuser, user_id: UUID, cap
):
    there = {"user_id": user_id, "cap": cap, "country": "AQ"}
    here = there | {"country": "DE"}
    first, refused, last = calls(single, [here, there, here])
    assert isinstance(refused, RetryLater)
    assert isinstance(first, NewSession)
    assert isinstance(last, NewSession)
    found = superuser.execute(
        "SELECT country FROM authkit.active_sessions WHERE user_id = %s", (user_id,)
    )
    assert found.fetchall() == [("DE",), ("DE",)]


@pytest.fixture(scope="module")
def stopping(superuser, database) -> Settings:
    """The server ends whoever asks for a position, but the probes."""
    superuser.execute(STOP)
    path = "?options=-csearch_path%3Dstopping,pg_catalog,authkit"
    return one_connection(database.url + path)


def test_a_write_that_stands_is_a_success_where_its_position_is_never_told(
    calls, stopping, single, user_id: UUID
):
    evicting = {"user_id": user_id, "cap": Cap(1)}
    made = calls(stopping, [evicting, evicting])
    assert [session.after for session in made] == [None, None]
    with authkit.connect(single) as kit:
        found = [kit.sessions.validate(session.token) for session in made]
    assert [session is None for session in found] == [True, False]
