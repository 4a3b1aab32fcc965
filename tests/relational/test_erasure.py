"""Nothing personal is left of who was erased, nor comes back by who looked before."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg import sql

import authkit
from authkit.errors import NotFound
from authkit.relational import NewCredential
from authkit.testing.waiting import until

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$"
TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'authkit'::regnamespace AND relkind = 'r'
"""
WAITING = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture(scope="module")
def kit(sealed_by) -> Iterator[authkit.Kit]:
    """A kit with a key to seal with."""
    with sealed_by(one=secrets.token_bytes(32)) as opened:
        yield opened


def traces(superuser, word: str) -> list[str]:
    """Return the tables with a row that has the word in it, as text or as bytes."""
    found: list[str] = []
    for (table,) in superuser.execute(TABLES).fetchall():
        asked = sql.SQL(
            "SELECT FROM authkit.{} AS t WHERE strpos(t::text, %s) > 0"
            " OR strpos(t::text, %s) > 0"
        ).format(sql.Identifier(table))
        if superuser.execute(asked, [word, word.encode().hex()]).fetchall():
            found.append(table)
    return sorted(found)


def credential(word: str) -> NewCredential:
    return NewCredential(
        rp_id="example.com",
        credential_id=secrets.token_bytes(16),
        public_key=b"key",
        attestation_object=word.encode(),
        attestation_client_data=word.encode(),
        name=word,
    )


def test_no_address_that_somebody_takes_keeps_another_from_being_erased(kit, user):
    with kit.unit_of_work() as uow:
        uow.users.create(f"{user.id}@erased.invalid")
    with kit.unit_of_work() as uow:
        assert uow.users.erase(user.id).email.endswith("@erased.invalid")


def test_no_table_keeps_what_was_personal_of_who_is_erased(kit, superuser, word):
    with kit.unit_of_work() as uow:
        user = uow.users.create(
            f"{word}@example.com", name=word, image=word, password_hash=HASH + word
        )
        uow.credentials.register(user.id, credential(word))
        uow.accounts.link(user.id, provider="x", issuer=word, subject=word)
        uow.hot.sessions.create(
            user.id, country="CH", user_agent=word, device_info={"of": [word]}
        )
        uow.hot.oauth.providers.put(user.id, "x", word, access_token=word, scope=word)
        uow.hot.oauth.states.create(
            provider="x",
            issuer="https://x.example",
            redirect_uri="https://client.example/cb",
            user_id=user.id,
            user_agent=word,
        )
        uow.hot.auth_cache.put(user.id, secrets.token_bytes(32))
    superuser.execute(
        "UPDATE authkit.users SET risk_score = 1, last_login_at = now() WHERE id = %s",
        [user.id],
    )
    # Which shows that the question finds what is there.
    there = traces(superuser, word)
    assert {"users", "sessions", "active_sessions", "user_auth_cache"} <= set(there)
    assert {"oauth_token_cache", "oauth_state_tracking", "accounts"} <= set(there)
    with kit.unit_of_work() as uow:
        gone = uow.users.erase(user.id)
    assert traces(superuser, word) == []
    assert (gone.risk_score, gone.last_login_at) == (None, None)
    kept = "SELECT country FROM authkit.active_sessions WHERE user_id = %s"
    assert superuser.execute(kept, [user.id]).fetchall() == [(None,)]


# Every door that puts something personal beside a user.
GIVEN: dict[str, Callable[..., Any]] = {
    "user": lambda uow, user, key, word: uow.users.update(user, name=word),
    "account": lambda uow, user, key, word: uow.accounts.link(
        user, provider="x", issuer="x", subject=word
    ),
    "credential": lambda uow, user, key, word: uow.credentials.register(
        user, credential(word)
    ),
    "name": lambda uow, user, key, word: uow.credentials.rename(key, word),
    "session": lambda uow, user, key, word: uow.hot.sessions.create(
        user, user_agent=word, device_info={"of": word}
    ),
    "provider's tokens": lambda uow, user, key, word: uow.hot.oauth.providers.put(
        user, "x", word, access_token="t"
    ),
    "cached login": lambda uow, user, key, word: uow.hot.auth_cache.put(
        user, secrets.token_bytes(32)
    ),
}


@pytest.mark.parametrize("first", ["gift", "erasure"])
@pytest.mark.parametrize("given", GIVEN)
def test_what_is_given_while_its_user_is_erased_is_gone_after(
    kit, superuser, word, given, first
):
    with kit.unit_of_work() as uow:
        user = uow.users.create(f"{word}@example.com", password_hash=HASH + word).id
        key = uow.credentials.register(user, credential(word)).id

    def give(uow) -> None:
        GIVEN[given](uow, user, key, word)

    def erase(uow) -> None:
        uow.users.erase(user)

    steps = (give, erase) if first == "gift" else (erase, give)

    def second() -> None:
        with contextlib.suppress(NotFound), kit.unit_of_work() as uow:
            steps[1](uow)

    with ThreadPoolExecutor() as threads:
        with kit.unit_of_work() as uow:
            steps[0](uow)
            other = threads.submit(second)
            until(
                lambda: other.done() or superuser.execute(WAITING).fetchall(),
                "the second is done, or waits for the first",
            )
        other.result(30)
    assert traces(superuser, word) == []
