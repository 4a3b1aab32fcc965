"""Every operation that issues or takes a secret, done once, and the secrets kept.

`Stage` notes each secret as a canary, and each value and each error that came back, to
be searched for all of them.
"""

from __future__ import annotations

import base64
import re
import secrets
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, cast
from uuid import UUID

from authkit.cluster import Cluster
from authkit.crypto import KeyRing, tokens
from authkit.crypto.sealing import KEY_BYTES
from authkit.errors import AuthkitError
from authkit.hot import (
    GrantedTokens,
    GrantRefused,
    Hot,
    NewSession,
    RotatedSession,
    Routed,
)
from authkit.hot.oauth_values import challenge_of, challenge_text
from authkit.hot.registry import BY_NAME
from authkit.ids import uuid7
from authkit.ops.leakcheck.searching import Canary
from authkit.relational import Origin, UnitOfWork, one_time
from authkit.relational.accounts import ProviderTokens

_URI = "https://client.example/callback"
_CLIENT = "leakcheck"
_SECRET: Final = re.compile(r"(?:^|_)(?:digests?|sealed|challenge|nonce)$")


@dataclass(slots=True)
class Stage:
    """What was issued, and what was seen of it."""

    canaries: list[Canary] = field(default_factory=list[Canary])
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    sung: set[str] = field(default_factory=set[str])

    @property
    def silent(self) -> tuple[str, ...]:
        """The operations with a secret in them that were not run."""
        return tuple(sorted(carriers() - self.sung))

    def canary(self, name: str, secret: str) -> str:
        """Note a secret and return it."""
        self.canaries.append(Canary(name, secret))
        return secret

    def heard(self, operation: str, *_: object) -> None:
        """Note that an operation was run."""
        self.sung.add(operation)

    def show(self, name: str, value: object) -> None:
        """Note what a value shows of itself."""
        self.seen.append((f"repr of {name}", repr(value)))
        self.seen.append((f"str of {name}", str(value)))

    def fail(self, name: str, work: Callable[[], object]) -> None:
        """Note how an error reads, whole traceback and all, where there is one."""
        try:
            self.show(f"what {name} returned", work())
        except (AuthkitError, TypeError, ValueError) as exc:
            text = "".join(traceback.format_exception(exc))
            self.seen.append((f"error of {name}", text + repr(exc)))


def carriers() -> frozenset[str]:
    """Return every operation that makes, takes or changes a secret, by its parameters.

    What locks a row goes in one round trip with what it is locked for.
    """
    return frozenset(
        operation.name
        for operation in BY_NAME.values()
        if not operation.name.partition(".")[2].startswith("lock_")
        and any(_SECRET.search(parameter) for parameter in operation.parameters)
    )


def sing(cluster: Cluster, ring: KeyRing) -> Stage:
    """Do everything that issues a secret, then present each again, rightly and wrongly.

    Raises:
        AuthkitError: something failed that should not: the check proves nothing then.
    """
    stage = Stage()
    runner = Routed(cluster)
    runner.observers.add(stage.heard)
    hot = Hot(runner, lambda: ring)

    def work() -> UnitOfWork:
        return UnitOfWork(cluster, origin=Origin("system:leakcheck"), keys=lambda: ring)

    with work() as uow:
        user = uow.users.create("canary@example.com").id
        kept = ProviderTokens(
            access_token=stage.canary("linked access token", tokens.issue().token),
            refresh_token=stage.canary("linked refresh token", tokens.issue().token),
            id_token=stage.canary("linked ID token", tokens.issue().token),
        )
        account = uow.accounts.link(
            user, provider="example", issuer="https://issuer.example", subject="1",
            tokens=kept, ring=ring,
        )  # fmt: skip
        stage.show("linked account", account)
        stage.show("provider tokens", kept)
        stage.show("opened tokens", uow.accounts.open_tokens(account, ring=ring))
    _sessions(stage, hot, user)
    _codes(stage, hot, user)
    _states(stage, hot)
    _factors(stage, work, user)
    _provided(stage, runner, user, ring)
    for canary in tuple(stage.canaries):
        _present(stage, hot, canary.secret)
    stage.show("cluster", cluster)
    stage.show("status", cluster.status())
    stage.show("key ring", ring)
    return stage


def _present(stage: Stage, hot: Hot, secret: str) -> None:
    """Hand a secret in where it belongs, where it does not, and spoilt."""
    sessions, oauth = hot.sessions, hot.oauth
    stage.fail("sessions.validate", lambda: sessions.validate(secret))
    stage.fail("sessions.validate_many", lambda: sessions.validate_many([secret]))
    stage.fail("sessions.rotate", lambda: sessions.rotate(secret))
    stage.fail("sessions.revoke_token", lambda: sessions.revoke_token(secret))
    stage.fail("oauth.tokens.introspect", lambda: oauth.tokens.introspect(secret))
    stage.fail(
        "oauth.tokens.revoke", lambda: oauth.tokens.revoke(secret, client_id=_CLIENT)
    )
    stage.fail("oauth.states.consume", lambda: oauth.states.consume(secret, secret))
    stage.fail("a malformed token", lambda: sessions.validate(secret + "!"))
    stage.fail("a token as an id", lambda: sessions.revoke(cast("UUID", secret)))
    stage.fail("a token as a reason", lambda: sessions.revoke(uuid7(), reason=secret))
    stage.fail(
        "a token as a client",
        lambda: oauth.tokens.issue(client_id=secret * 10),
    )


def _sessions(stage: Stage, hot: Hot, user: UUID) -> None:
    session = hot.sessions.create(user)
    if not isinstance(session, NewSession):
        raise AuthkitError("no session was begun: the check proves nothing")
    stage.show("new session", session)
    token = stage.canary("session token", session.token)
    stage.show("session", hot.sessions.validate(token))
    rotated = hot.sessions.rotate(token)
    if not isinstance(rotated, RotatedSession):
        raise AuthkitError("no session was rotated: the check proves nothing")
    stage.canary("rotated session token", rotated.token)
    stage.show("rotated session", rotated)


def _codes(stage: Stage, hot: Hot, user: UUID) -> None:
    verifier = stage.canary("PKCE verifier", tokens.issue().token)
    code = hot.oauth.codes.create(
        client_id=_CLIENT,
        user_id=user,
        redirect_uri=_URI,
        code_challenge=challenge_text(challenge_of(verifier)),
    )
    if isinstance(code, GrantRefused):
        raise AuthkitError("no code was made: the check proves nothing")
    stage.canary("authorisation code", code.code)
    stage.show("code", code)
    wrong = tokens.issue().token
    for attempt in (wrong, verifier, verifier):
        granted = hot.oauth.codes.redeem(
            code.code, client_id=_CLIENT, redirect_uri=_URI, code_verifier=attempt
        )
        stage.show("redemption", granted)
        if isinstance(granted, GrantedTokens):
            _granted(stage, "code", granted)
    issued = hot.oauth.tokens.issue(client_id=_CLIENT)
    if isinstance(issued, GrantRefused):
        raise AuthkitError("no token was issued: the check proves nothing")
    _granted(stage, "client", issued)
    rotated = hot.oauth.tokens.rotate(issued.refresh_token, client_id=_CLIENT)
    stage.show("rotation", rotated)
    if not isinstance(rotated, GrantedTokens):
        raise AuthkitError("no token was rotated: the check proves nothing")
    _granted(stage, "rotation", rotated)


def _granted(stage: Stage, how: str, granted: GrantedTokens) -> None:
    stage.canary(f"access token of the {how}", granted.access_token)
    stage.canary(f"refresh token of the {how}", granted.refresh_token)


def _provided(stage: Stage, runner: Routed, user: UUID, ring: KeyRing) -> None:
    """What a provider gave, stored, opened, and sealed again with a newer key."""
    old = ("older", secrets.token_bytes(KEY_BYTES))
    stage.canary("older sealing key", base64.b64encode(old[1]).decode())
    before = Hot(runner, lambda: KeyRing((old, *ring.keys))).oauth.providers
    before.put(
        user, "example", "1",
        access_token=stage.canary("provided access token", tokens.issue().token),
        refresh_token=stage.canary("provided refresh token", tokens.issue().token),
        id_token=stage.canary("provided ID token", tokens.issue().token),
    )  # fmt: skip
    after = Hot(runner, lambda: KeyRing((*ring.keys, old))).oauth.providers
    if not after.reseal():
        raise AuthkitError("nothing was sealed again: the check proves nothing")
    stage.show("provided tokens", after.of_user(user, "example"))


def _factors(stage: Stage, work: Callable[[], UnitOfWork], user: UUID) -> None:
    """A second factor: proposed, confirmed, taken over from elsewhere; its codes."""
    with work() as uow:
        proposal = uow.totp.propose(user, issuer="Example")
        other = uow.users.create("second.canary@example.com").id
    stage.show("proposal", proposal)
    secret = stage.canary("proposed TOTP secret", proposal.secret)
    elsewhere = stage.canary(
        "adopted TOTP secret", base64.b32encode(one_time.new_secret()).decode()
    )
    now = one_time.code_at(
        base64.b32decode(secret), one_time.step_of(datetime.now(UTC))
    )
    with work() as uow:
        confirmed = uow.totp.confirm(user, now)
        if not confirmed or not uow.totp.adopt(other, elsewhere):
            raise AuthkitError("no second factor is in use: the check proves nothing")
        codes = uow.backup_codes.replace(user, count=2)
    for code in codes:
        stage.canary("backup code", code)
        stage.canary("backup code as it was typed", code.replace("-", "").upper())
    with work() as uow:
        if not uow.backup_codes.redeem(user, codes[0]):
            raise AuthkitError("no backup code was taken: the check proves nothing")
        stage.show("user with a second factor", uow.users.get(user))
        stage.show("sealed secret", uow.users.get(other).totp_secret_sealed)
        for shown in (secret, elsewhere, *codes):
            stage.fail("totp.redeem", lambda s=shown: uow.totp.redeem(user, s))
            stage.fail("totp.adopt", lambda s=shown: uow.totp.adopt(user, s + "!"))
            stage.fail("totp.propose", lambda s=shown: uow.totp.propose(user, issuer=s))
            stage.fail(
                "backup_codes.redeem", lambda s=shown: uow.backup_codes.redeem(other, s)
            )


def _states(stage: Stage, hot: Hot) -> None:
    pending = hot.oauth.states.create(
        provider="example", issuer="https://issuer.example", redirect_uri=_URI
    )
    stage.show("pending login", pending)
    stage.canary("state", pending.state)
    stage.canary("nonce", pending.nonce)
    stage.canary("browser binding", pending.browser_binding)
    returned = hot.oauth.states.consume(pending.state, pending.browser_binding)
    if returned is None:
        raise AuthkitError("no login came back: the check proves nothing")
    stage.canary("verifier of a login", returned.verifier)
    stage.show("returned login", returned)
    stage.fail("unknown user", lambda: hot.sessions.create(uuid7()))
