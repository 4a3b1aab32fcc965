"""The cache answers what the roles say now, or nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from authkit.errors import InvalidInput
from authkit.ids import uuid7
from authkit.relational import Reason

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG"


@pytest.fixture
def email_hash() -> bytes:
    return os.urandom(32)


@pytest.fixture
def role(kit):
    """A role of the test's own that carries one permission."""
    word = f"w{uuid7().hex}"
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.permissions.create(f"{word}:read")
        uow.roles.allow(word, f"{word}:read")
    return word


def test_what_is_not_kept_is_not_known(kit, user_id, email_hash):
    assert kit.auth_cache.get(user_id) is None
    assert kit.auth_cache.get_by_email(email_hash) is None
    assert kit.auth_cache.put(uuid7(), email_hash) is None


def test_a_login_needs_one_read(kit, user_id, email_hash):
    with kit.unit_of_work() as uow:
        uow.users.update(user_id, password_hash=HASH)
        uow.roles.grant(user_id, "moderator")
    put = kit.auth_cache.put(user_id, email_hash)
    got = kit.auth_cache.get_by_email(email_hash)
    assert got.user_id == put.user_id == user_id
    assert got.password_hash == HASH
    assert "session:revoke" in got.permissions
    assert got.permissions == sorted(put.permissions)
    assert (got.locked, got.disabled_at, got.failed_attempts) == (False, None, 0)
    assert HASH not in repr(got)


def test_a_lock_is_seen_at_once_whatever_is_kept(kit, user_id, email_hash):
    kit.auth_cache.put(user_id, email_hash)
    kit.attempts.lock(user_id, timedelta(minutes=5))
    assert kit.auth_cache.get(user_id).locked
    kit.attempts.unlock(user_id)
    assert not kit.auth_cache.get(user_id).locked


def changes(kit, user_id, role):
    """Everything that changes what a user is or may do, one after another."""
    users = {
        "grant": lambda u: u.roles.grant(user_id, "moderator"),
        "revoke": lambda u: u.roles.revoke(user_id, role),
        "disable": lambda u: u.users.disable(user_id),
        "email": lambda u: u.users.update(user_id, email=f"{uuid7().hex}@example.com"),
        "password": lambda u: u.users.update(user_id, password_hash=HASH),
        "role loses it": lambda u: u.roles.disallow(role, f"{role}:read"),
        "role gains one": lambda u: u.roles.allow(role, "user:read"),
        "condition": lambda u: u.permissions.restrict(
            f"{role}:read", {"owner": "author"}
        ),
        "role deleted": lambda u: u.roles.delete(role),
    }

    def make(change):
        with kit.unit_of_work() as uow:
            uow.run(change)

    return {name: lambda change=change: make(change) for name, change in users.items()}


@pytest.mark.parametrize(
    "name",
    [
        "grant",
        "revoke",
        "disable",
        "email",
        "password",
        "role loses it",
        "role gains one",
        "condition",
        "role deleted",
    ],
)
def test_an_older_version_is_never_served(kit, user_id, email_hash, role, name):
    with kit.unit_of_work() as uow:
        uow.roles.grant(user_id, role)
    kit.auth_cache.put(user_id, email_hash)
    assert kit.auth_cache.get(user_id) is not None
    changes(kit, user_id, role)[name]()
    assert kit.auth_cache.get(user_id) is None
    assert kit.auth_cache.get_by_email(email_hash) is None
    assert kit.auth_cache.put(user_id, email_hash) is not None
    assert kit.auth_cache.get(user_id) is not None


def test_an_entry_ends_with_the_first_of_its_grants(
    frozen_kit, clock, user_id, email_hash
):
    soon = datetime.now(UTC) + timedelta(hours=1)
    clock.advance(soon - timedelta(minutes=5) - clock.now)
    with frozen_kit.unit_of_work() as uow:
        uow.roles.grant(user_id, "moderator", expires_at=soon)
    kept = frozen_kit.auth_cache.put(user_id, email_hash)
    assert kept.expires_at == soon
    clock.advance(soon - clock.now - timedelta(microseconds=1))
    assert frozen_kit.auth_cache.get(user_id) is not None
    clock.advance(timedelta(microseconds=1))
    assert frozen_kit.auth_cache.get(user_id) is None
    assert frozen_kit.auth_cache.put(user_id, email_hash).permissions == []


def test_an_address_that_went_to_another_user_goes_with_it(kit, add_user, email_hash):
    one, two = add_user(), add_user()
    kit.auth_cache.put(one, email_hash)
    kit.auth_cache.put(two, email_hash)
    assert kit.auth_cache.get_by_email(email_hash).user_id == two
    assert kit.auth_cache.get(one) is None


def test_an_address_that_the_user_has_no_more_is_not_kept(kit, user_id, email_hash):
    old, new = f"old-{user_id}@example.com", f"new-{user_id}@example.com"
    with kit.unit_of_work() as uow:
        uow.users.update(user_id, email=old)
    assert kit.auth_cache.put(user_id, email_hash, email=f" {old.upper()}") is not None
    with kit.unit_of_work() as uow:
        uow.users.update(user_id, email=new)
    assert kit.auth_cache.put(user_id, email_hash, email=old) is None
    assert kit.auth_cache.get_by_email(email_hash) is None
    assert kit.auth_cache.put(user_id, email_hash, email=new).user_id == user_id


def test_many_who_put_at_once_leave_the_current_state(kit, race, user_id, email_hash):
    def act(caller: int) -> None:
        if caller % 5 == 0:
            with kit.unit_of_work() as uow:
                uow.users.update(user_id, name=str(caller), password_hash=HASH)
        kit.auth_cache.put(user_id, email_hash)

    race(act, 30)
    with kit.unit_of_work(read_only=True) as uow:
        version = uow.users.get(user_id).authz_version
    kit.auth_cache.put(user_id, email_hash)
    assert kit.auth_cache.get(user_id).authz_version == version


def test_entries_are_invalidated_one_by_one_and_by_role(kit, add_user, role):
    users = [add_user() for _ in range(3)]
    with kit.unit_of_work() as uow:
        for user_id in users[:2]:
            uow.roles.grant(user_id, role)
    for user_id in users:
        kit.auth_cache.put(user_id, os.urandom(32))
    assert kit.auth_cache.invalidate_role(role) == 2
    assert kit.auth_cache.invalidate_role("no-such-role") == 0
    assert kit.auth_cache.invalidate(users[2]) is True
    assert kit.auth_cache.invalidate(users[2]) is False


def test_a_check_gives_the_same_answer_with_and_without_the_cache(
    kit, user_id, email_hash, role
):
    with kit.unit_of_work() as uow:
        uow.permissions.restrict(f"{role}:read", {"owner": "author"})
        uow.roles.grant(user_id, role)
    questions = [
        (f"{role}:read", {"author": user_id}, Reason.GRANTED),
        (f"{role}:read", {}, Reason.CONDITIONS),
        (f"{role}:write", {}, Reason.NOT_GRANTED),
    ]
    for _ in range(2):
        for permission, context, reason in questions:
            decision = kit.check(user_id, permission, **context)
            assert decision.reason is reason
            assert bool(decision) is (reason is Reason.GRANTED)
        kit.auth_cache.put(user_id, email_hash)
    assert kit.check(uuid7(), "user:read").reason is Reason.UNKNOWN_USER


def test_bad_input_is_refused_before_the_database_is_asked(kit, asked, user_id):
    cache = kit.auth_cache
    for call in (
        lambda: cache.get("user"),
        lambda: cache.get_by_email(b"short"),
        lambda: cache.put(user_id, b"short"),
        lambda: cache.put(user_id, os.urandom(32), keep=timedelta(0)),
        lambda: cache.put(user_id, os.urandom(32), email=" "),
        lambda: cache.invalidate_role(""),
        lambda: cache.purge(limit=0),
    ):
        with pytest.raises(InvalidInput):
            call()
    assert asked == []
