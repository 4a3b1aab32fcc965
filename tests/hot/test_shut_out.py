"""What is given to a user in the very instant in which the user is shut out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import authkit
from authkit.crypto import KeyRing
from authkit.hot import Cap, GrantedTokens, GrantRefused, NewSession
from authkit.ids import uuid7
from authkit.testing.waiting import until

CLIENT, URI, VERIFIER = "client", "https://client.example/cb", "v" * 43
DIGEST = hashlib.sha256(VERIFIER.encode()).digest()
CHALLENGE = base64.urlsafe_b64encode(DIGEST).decode().rstrip("=")
WAITING = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture(scope="module")
def kit(module_settings) -> Iterator[authkit.Kit]:
    """A kit that has keys."""
    with authkit.connect(module_settings) as opened:
        opened.key_ring = KeyRing.random()
        yield opened


def issued(hot, session: NewSession, user_id):
    return hot.oauth.tokens.issue(
        client_id=CLIENT, user_id=user_id, session_id=session.id
    )


def coded(hot, session: NewSession, user_id):
    made = hot.oauth.codes.create(
        client_id=CLIENT,
        user_id=user_id,
        session_id=session.id,
        redirect_uri=URI,
        code_challenge=CHALLENGE,
    )
    if isinstance(made, GrantRefused):
        return made
    return hot.oauth.codes.redeem(
        made.code, client_id=CLIENT, redirect_uri=URI, code_verifier=VERIFIER
    )


GIVEN: dict[str, Callable[..., Any]] = {"token": issued, "code": coded}

# Each shuts the bearer of the session's tokens out.
ENDS: dict[str, Callable[..., Any]] = {
    "disable": lambda uow, session, user: uow.users.disable(user),
    "erase": lambda uow, session, user: uow.users.erase(user),
    "revoke": lambda uow, session, user: uow.hot.sessions.revoke(session.id),
    "log out": lambda uow, session, user: uow.hot.sessions.revoke_token(session.token),
    "revoke all": lambda uow, session, user: uow.hot.sessions.revoke_all(user),
    "revoke others": lambda uow, session, user: uow.hot.sessions.revoke_others(
        user, keep=uuid7()
    ),
    "evict": lambda uow, session, user: uow.hot.sessions.create(user, cap=Cap(1)),
    "revoke tokens": lambda uow, session, user: uow.hot.oauth.tokens.revoke_all(user),
}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("end", ENDS)
def test_what_is_asked_for_while_its_bearer_is_shut_out_is_not_good_after(
    kit, superuser, user_id, given, end
):
    session = kit.sessions.create(user_id)
    with ThreadPoolExecutor() as threads:
        with kit.unit_of_work() as uow:
            ENDS[end](uow, session, user_id)
            asked = threads.submit(GIVEN[given], kit.hot, session, user_id)
            until(
                lambda: asked.done() or superuser.execute(WAITING).fetchall(),
                "it was given, or waits for the end",
            )
        answer = asked.result(30)
    if end == "revoke tokens":
        # The end is that of the tokens before it: the user is there.
        assert kit.oauth.tokens.introspect(answer.access_token) is not None
    else:
        assert not isinstance(answer, GrantedTokens)


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("end", ENDS)
def test_what_was_given_before_its_bearer_was_shut_out_ends_with_that(
    kit, superuser, user_id, given, end
):
    session = kit.sessions.create(user_id)

    def shut_out() -> None:
        with kit.unit_of_work() as uow:
            ENDS[end](uow, session, user_id)

    with ThreadPoolExecutor() as threads:
        with kit.unit_of_work() as uow:
            made = GIVEN[given](uow.hot, session, user_id)
            ending = threads.submit(shut_out)
            until(
                lambda: ending.done() or superuser.execute(WAITING).fetchall(),
                "the end came, or waits for what is given",
            )
        ending.result(30)
    assert isinstance(made, GrantedTokens)
    assert kit.oauth.tokens.introspect(made.access_token) is None


@pytest.mark.parametrize("given", GIVEN)
def test_nothing_is_given_in_the_name_of_nobody_or_for_a_session_that_is_over(
    kit, add_user, given
):
    user_id, other = add_user(), add_user()
    session, others = kit.sessions.create(user_id), kit.sessions.create(other)
    assert isinstance(GIVEN[given](kit.hot, session, user_id), GrantedTokens)
    for who, whose in ((uuid7(), session), (user_id, others), (other, session)):
        assert GIVEN[given](kit.hot, whose, who) is GrantRefused.UNAVAILABLE
    kit.sessions.revoke(session.id)
    assert GIVEN[given](kit.hot, session, user_id) is GrantRefused.UNAVAILABLE


@pytest.mark.parametrize("end", ["revoke", "revoke all"])
def test_ending_a_session_ends_its_tokens_though_its_row_was_purged(
    kit, superuser, user_id, end
):
    session = kit.sessions.create(user_id)
    made = issued(kit.hot, session, user_id)
    away = kit.oauth.tokens.issue(client_id=CLIENT, user_id=user_id)
    superuser.execute("DELETE FROM authkit.active_sessions WHERE id = %s", [session.id])
    with kit.unit_of_work() as uow:
        ENDS[end](uow, session, user_id)
    assert kit.oauth.tokens.introspect(made.access_token) is None
    assert kit.oauth.tokens.introspect(away.access_token) is not None
