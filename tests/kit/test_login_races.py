"""What happens to a user while a login of theirs is under way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr

import authkit
from authkit.hot import Cap
from authkit.kit.login_values import Begun, LoggedIn, LoginRefused, SessionTerms
from authkit.settings import Settings
from authkit.testing.waiting import until

EMAIL = "ada@example.com"
OLD = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
NEW = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$bmV3bmV3bmV3bmV3"
CAPPED = SessionTerms(cap=Cap(3))


@pytest.fixture
def kit(settings: Settings) -> Iterator[authkit.Kit]:
    keys = {"authkit_token_key": SecretStr("A" * 43 + "=")}
    with authkit.connect(settings.model_copy(update=keys)) as opened:
        yield opened


@pytest.fixture
def ada(kit) -> UUID:
    with kit.unit_of_work() as uow:
        return uow.users.create(EMAIL, password_hash=OLD).id


def begin(kit: authkit.Kit) -> Begun:
    begun = kit.logins.begin(EMAIL, ip="192.0.2.7")
    assert isinstance(begun, Begun)
    return begun


def test_a_login_under_a_cap_holds_nothing_of_its_user_while_it_waits(
    kit, ada, database
):
    begun = begin(kit)
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(database.url) as other,
        psycopg.connect(database.url, autocommit=True) as watch,
    ):
        other.execute("SELECT FROM authkit.users WHERE id = %s FOR SHARE", (ada,))
        login = thread.submit(kit.logins.succeed, begun, session=CAPPED)
        held_up = "SELECT pid FROM pg_locks WHERE %s = ANY (pg_blocking_pids(pid))"
        pid = other.info.backend_pid
        until(lambda: watch.execute(held_up, (pid,)).fetchone(), "the login to wait")
        # Two logins that each shared the user could not both have it alone.
        other.execute(
            "SELECT FROM authkit.users WHERE id = %s FOR NO KEY UPDATE NOWAIT", (ada,)
        )
        other.commit()
        assert isinstance(login.result(), LoggedIn)


@pytest.mark.parametrize("hashed", [NEW, None], ids=["another", "none"])
def test_who_began_with_a_password_that_was_changed_does_not_come_in(kit, ada, hashed):
    begun = begin(kit)
    with kit.unit_of_work() as uow:
        uow.users.update(ada, password_hash=hashed)
        uow.hot.sessions.revoke_all(ada)
    assert kit.logins.succeed(begun) is LoginRefused.USER_UNAVAILABLE
    assert kit.sessions.list(ada) == []
    assert isinstance(kit.logins.succeed(begin(kit)), LoggedIn)


def test_who_began_before_a_second_factor_was_asked_for_does_not_come_in(
    kit, ada, database
):
    begun = begin(kit)
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute(
            "UPDATE authkit.users SET mfa_enabled = true WHERE id = %s", (ada,)
        )
    assert kit.logins.succeed(begun) is LoginRefused.USER_UNAVAILABLE


def test_a_role_that_is_granted_while_a_login_is_under_way_does_not_end_it(kit, ada):
    begun = begin(kit)
    with kit.unit_of_work() as uow:
        uow.roles.grant(ada, "user")
    assert isinstance(kit.logins.succeed(begun), LoggedIn)
