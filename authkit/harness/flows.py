"""What users do that takes several operations: log in, refresh, revoke and look again.

Each is a function of an `AuthUser`; `CALLS` of `visitor` has the name a profile weighs
it by.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeVar

from authkit.crypto import tokens
from authkit.errors import AuthkitError, Unavailable
from authkit.harness.summary import STALE_AUTHORISATION, STALE_READ
from authkit.harness.world import OpenSession
from authkit.hot import (
    CodeRefusal,
    GrantedTokens,
    GrantRefused,
    RatePolicy,
    TokenRefusal,
)
from authkit.kit.login_values import Begun, LoggedIn

if TYPE_CHECKING:
    from authkit.cluster import Token
    from authkit.harness.user import AuthUser

Value = TypeVar("Value")

# Steps of the login flow, which are measured whole.
STEPS: Final = ("logins.begin", "logins.succeed")
_KNOWN: Final = 0.05  # share of the stolen pairs whose name somebody here has
_CLIENT: Final = "load"
_REDIRECT: Final = "https://client.example/callback"
# Generous, because a load comes from a few hundred addresses: the counters are charged
# and locked as they are in earnest, and hardly ever full.
_PER_ADDRESS: Final = RatePolicy("load", 100_000, timedelta(minutes=1))


def log_in(user: AuthUser) -> None:
    """Log in: begin before the password is looked at, succeed with a session.

    What a password costs to verify is the application's, not the database's.
    """
    world, logins = user.world, user.kit.logins
    who = world.user()
    begun = timed(
        user,
        "logins.begin",
        lambda: logins.begin(
            world.email_of(who), ip=world.any_address(), user_agent=world.browser()
        ),
    )
    if not isinstance(begun, Begun):
        return  # throttled: an answer, and no error
    if begun.user is None or begun.locked:
        logins.fail(begun, "unavailable")
        return
    done = timed(user, "logins.succeed", lambda: logins.succeed(begun))
    if isinstance(done, LoggedIn) and done.session is not None:
        opened = done.session
        user.load.acknowledged("session", opened.id)
        world.opened(OpenSession(opened.token, opened.id, who))


def guess(user: AuthUser) -> None:
    """Try a stolen pair: an address is charged, most names are nobody's, all fail."""
    world, logins = user.world, user.kit.logins
    address = world.any_address()
    if not user.kit.rate_limits.check(address, "login", _PER_ADDRESS):
        return
    known = world.random.random() < _KNOWN
    name = world.email_of(world.user()) if known else world.nobody()
    begun = timed(
        user,
        "logins.begin",
        lambda: logins.begin(name, ip=address, user_agent=world.browser()),
    )
    if isinstance(begun, Begun):
        logins.fail(begun, "wrong_password" if begun.user else "unknown_user")


def timed(user: AuthUser, name: str, call: Callable[[], Value]) -> Value:
    """Measure what is one step for its caller and several statements for the server.

    What runs in a transaction of the kit's own is no operation of the registry, so
    nobody else measures it.
    """
    load, cluster = user.load, user.kit.cluster
    began = perf_counter()
    try:
        answer = call()
    except AuthkitError as exc:
        if not load.visits.was_counted(exc):
            load.observe(name, "", "", perf_counter() - began, exc)
        raise
    spent = perf_counter() - began
    load.observe(name, cluster.status().primary or "", "primary", spent, None)
    return answer


def authorise(user: AuthUser) -> None:
    """Ask what a user may do: from the cache, filled where it is empty."""
    who = user.world.user()
    if user.kit.auth_cache.get(who, max_lag=user.max_lag()) is None:
        user.kit.auth_cache.put(who, sha256(who.bytes).digest())


def use_code(user: AuthUser) -> None:
    """Agree to a client, redeem its code with PKCE, use the token."""
    verifier = tokens.issue().token
    challenge = urlsafe_b64encode(sha256(verifier.encode("ascii")).digest())
    session = user.world.session()
    code = user.kit.oauth.codes.create(
        client_id=_CLIENT,
        user_id=session.user_id,
        redirect_uri=_REDIRECT,
        code_challenge=challenge.rstrip(b"=").decode("ascii"),
        session_id=session.session_id,
    )
    if isinstance(code, GrantRefused):
        return
    granted = user.kit.oauth.codes.redeem(
        code.code,
        client_id=_CLIENT,
        redirect_uri=_REDIRECT,
        code_verifier=verifier,
    )
    if isinstance(granted, CodeRefusal):
        return
    user.kit.oauth.tokens.introspect(granted.access_token)
    user.world.granted(granted.refresh_token)


def refresh(user: AuthUser) -> None:
    """Rotate a refresh token; one that got no answer is presented again later."""
    world = user.world
    token = world.to_refresh()
    if token is None:
        session = world.session()
        made = user.kit.oauth.tokens.issue(
            client_id=_CLIENT, user_id=session.user_id, session_id=session.session_id
        )
        if isinstance(made, GrantedTokens):
            world.granted(made.refresh_token)
        return
    try:
        answer = user.kit.oauth.tokens.rotate(token, client_id=_CLIENT)
    except Unavailable:
        world.granted(token)
        raise
    if isinstance(answer, TokenRefusal):
        return
    assert isinstance(answer, GrantedTokens)  # noqa: S101 # the other half of the union
    world.granted(answer.refresh_token)


def log_out(user: AuthUser) -> None:
    """Revoke a session that this process opened, and present its token again."""
    session = user.world.to_close()
    if session is None:
        user.world.opened(user.load.open_session(user.kit, user.world))
        return
    ended = user.kit.sessions.revoke(session.session_id, reason="logout")
    acknowledged_s = user.load.clock()
    user.load.acknowledged("revoked", session.session_id)
    present_again(user, session, ended.token, acknowledged_s)


def revoke_everywhere(user: AuthUser) -> None:
    """End every session of somebody whose session is at hand; present it again."""
    session = user.world.to_close()
    if session is None:
        user.world.opened(user.load.open_session(user.kit, user.world))
        return
    ended = user.kit.sessions.revoke_all(session.user_id, reason="stolen")
    acknowledged_s = user.load.clock()
    user.load.acknowledged("revoked", session.session_id)
    present_again(user, session, ended.token, acknowledged_s)
    user.world.replace_sessions_of(session.user_id)


def present_again(
    user: AuthUser, session: OpenSession, token: Token | None, acknowledged_s: float
) -> None:
    """Present a revoked session: with the revocation's token, or with a bound.

    A read that asks for what the revocation's consistency token says must not see the
    session. One that states a bound may, for as long as that: it is counted as a stale
    read, and beyond its bound as a stale authorisation, of which there must be none.
    """
    sessions = user.kit.sessions
    bound = user.max_lag()
    if bound is None:
        if sessions.validate(session.token, after=token) is not None:
            user.load.count(STALE_AUTHORISATION)
        return
    began_s = user.load.clock()
    if sessions.validate(session.token, max_lag=bound) is not None:
        user.load.count(STALE_READ)
        if began_s - acknowledged_s > bound.total_seconds():
            user.load.count(STALE_AUTHORISATION)
