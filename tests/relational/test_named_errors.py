"""Bad input has an error of its own name, which repeats nothing of what was given."""

from __future__ import annotations

import secrets
import traceback
from datetime import UTC, datetime

import pytest

from authkit.crypto import KeyRing
from authkit.errors import (
    AlreadyExists,
    AuthkitError,
    ConfigError,
    Conflict,
    InvalidInput,
    NotFound,
)
from authkit.ids import uuid7
from authkit.relational import NewCredential, ProviderTokens

PLANTED = f"planted{secrets.token_hex(8)}"
ISSUER = f"https://{PLANTED}.example"
PAST = datetime(2001, 2, 3, tzinfo=UTC)


def link(uow, user, **more):
    return uow.accounts.link(
        user.id, provider="x", issuer=ISSUER, subject=PLANTED, **more
    )


def twice(act):
    act()
    return act()


def other(uow):
    return uow.users.create(f"other.{uuid7().hex}@example.com")


def new(**parts):
    given = {"rp_id": "example.com", "public_key": b"k", "credential_id": b"c"}
    return NewCredential(**given | parts)


BAD = {
    "an address that is taken": (
        AlreadyExists,
        "another user has this e-mail",
        lambda uow, user: twice(lambda: uow.users.create(f"{PLANTED}@example.com")),
    ),
    "a change to an address that is taken": (
        AlreadyExists,
        "users_email_key",
        lambda uow, user: uow.users.update(other(uow).id, email=user.email),
    ),
    "a clear password": (
        Conflict,
        "password_hash_phc",
        lambda uow, user: uow.users.update(user.id, password_hash=PLANTED),
    ),
    "an account that is linked": (
        AlreadyExists,
        "linked already",
        lambda uow, user: twice(lambda: link(uow, user)),
    ),
    "tokens without a ring": (
        InvalidInput,
        "key ring is needed",
        lambda uow, user: link(uow, user, tokens=ProviderTokens(PLANTED)),
    ),
    "a token that cannot be": (
        InvalidInput,
        "access token",
        lambda uow, user: link(
            uow, user, tokens=ProviderTokens(f"{PLANTED}\x00"), ring=KeyRing.random()
        ),
    ),
    "a scope that cannot be": (
        InvalidInput,
        "the scope holds a NUL",
        lambda uow, user: link(
            uow,
            user,
            tokens=ProviderTokens(scope=f"{PLANTED}\x00"),
            ring=KeyRing.random(),
        ),
    ),
    "a condition that cannot be": (
        InvalidInput,
        "cannot be written as JSON",
        lambda uow, user: uow.permissions.create(
            "x:y", when={"equals": {PLANTED: float("nan")}}
        ),
    ),
    "an unknown role": (
        NotFound,
        "no such role",
        lambda uow, user: uow.roles.grant(user.id, PLANTED),
    ),
    "a role that has no name": (
        InvalidInput,
        "one lower-case word",
        lambda uow, user: uow.roles.grant(user.id, f"{PLANTED}!"),
    ),
    "a grant that is over": (
        InvalidInput,
        "lies in the past",
        lambda uow, user: uow.roles.grant(user.id, "user", expires_at=PAST),
    ),
    "an unknown permission": (
        NotFound,
        "no such role or permission",
        lambda uow, user: uow.roles.allow("user", f"{PLANTED}:read"),
    ),
    "a credential id that is too long": (
        InvalidInput,
        "1 to 1,023 bytes",
        lambda uow, user: new(credential_id=PLANTED.encode() * 100),
    ),
    "a backup of what has none": (
        InvalidInput,
        "not eligible",
        lambda uow, user: new(credential_id=PLANTED.encode(), backup_state=True),
    ),
    "a credential that is registered": (
        AlreadyExists,
        "registered already",
        lambda uow, user: twice(
            lambda: uow.credentials.register(
                user.id, new(credential_id=PLANTED.encode())
            )
        ),
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_named_and_not_repeated(kit, what):
    kind, says, act = BAD[what]
    with kit.unit_of_work() as uow:
        user = uow.users.create(f"{PLANTED}.{uuid7().hex}@example.com")
    with pytest.raises(AuthkitError) as caught, kit.unit_of_work() as uow:
        act(uow, user)
    assert type(caught.value) is kind
    assert says in str(caught.value)
    logged = "".join(traceback.format_exception(caught.value))
    shown = f"{caught.value}{caught.value!r}{caught.value.args}{logged}"
    assert PLANTED not in shown
    assert user.email not in shown


def test_a_key_that_is_not_there_is_named_by_its_id_and_nothing_else(sealed_by, user):
    old = secrets.token_bytes(32)
    with sealed_by(old=old) as kit, kit.unit_of_work() as uow:
        uow.totp.propose(user.id, issuer="Acme")
    lacks = pytest.raises(ConfigError, match="lacks key 'old'")
    with (
        sealed_by(new=secrets.token_bytes(32)) as kit,
        lacks as caught,
        kit.unit_of_work() as uow,
    ):
        uow.totp.confirm(user.id, "123456")
    assert old.hex() not in repr(caught.value)
