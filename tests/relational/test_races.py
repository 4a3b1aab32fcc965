"""Many who do the same at once: one result, an entry for each change, no other."""

from __future__ import annotations

import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from authkit.errors import AlreadyExists
from authkit.relational import NewCredential
from authkit.testing import race
from authkit.testing.waiting import until

CALLERS = 12

WAITING = """SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


def told(kit, target: str, action: str):
    with kit.unit_of_work(read_only=True) as uow:
        return uow.audit.trail(target=target, action=action, limit=100)


def key(word: str) -> NewCredential:
    name = word.encode()
    return NewCredential(rp_id="example.com", credential_id=name, public_key=b"key")


# Each is done once, however many do it; what is told of it, and about whom.
ONCE = {
    "user.disable": lambda uow, user, word: uow.users.disable(user.id),
    "user.erase": lambda uow, user, word: uow.users.erase(user.id),
    "role.create": lambda uow, user, word: uow.roles.create(word),
    "permission.create": lambda uow, user, word: uow.permissions.create(f"{word}:x"),
    "credential.register": lambda uow, user, word: uow.credentials.register(
        user.id, key(word)
    ),
}


@pytest.mark.parametrize("action", ONCE)
def test_of_many_who_do_it_at_once_one_does_and_it_is_told_once(
    kit, user, word, action
):
    def act(_: int) -> bool:
        with contextlib.suppress(AlreadyExists), kit.unit_of_work() as uow:
            ONCE[action](uow, user, word)
            return True
        return False

    done = race(act, CALLERS)
    target = {"role": f"role:{word}", "permission": f"permission:{word}:x"}.get(
        action.partition(".")[0], f"user:{user.id}"
    )
    assert len(told(kit, target, action)) == 1
    # To disable or erase who is so already is no error; a name is taken once.
    assert done.count(True) == (CALLERS if action.startswith("user.") else 1)


def test_of_many_who_enable_a_user_at_once_one_does_and_it_is_told_once(kit, user):
    with kit.unit_of_work() as uow:
        uow.users.disable(user.id)

    def enable(_: int) -> None:
        with kit.unit_of_work() as uow:
            assert uow.users.enable(user.id).disabled_at is None

    race(enable, CALLERS)
    assert len(told(kit, f"user:{user.id}", "user.enable")) == 1


def test_permissions_given_and_taken_at_once_change_as_often_as_is_said(kit, word):
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.permissions.create(f"{word}:x")

    def act(number: int) -> bool:
        with kit.unit_of_work(actor=f"system:admin-{number}") as uow:
            change = uow.roles.allow if number % 2 else uow.roles.disallow
            return change(word, f"{word}:x")

    changed = Counter(number % 2 for number, c in enumerate(race(act, CALLERS)) if c)
    # Added and taken in turn, as often as they say.
    with kit.unit_of_work() as uow:
        assert uow.roles.disallow(word, f"{word}:x") == (changed[1] > changed[0])
    assert changed[1] - changed[0] in {0, 1}
    entries = told(kit, f"role:{word}", "role.allow")
    entries += told(kit, f"role:{word}", "role.disallow")
    assert len({entry.actor for entry in entries} - {"system:authkit"}) == CALLERS


def test_a_permission_given_while_it_is_restricted_is_not_cached_without_conditions(
    kit, user, word, superuser
):
    name = f"{word}:x"
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.roles.grant(user.id, word)
        uow.permissions.create(name)

    def allow() -> None:
        with kit.unit_of_work() as uow:
            uow.roles.allow(word, name)

    with ThreadPoolExecutor(1) as thread:
        with kit.unit_of_work() as uow:
            uow.permissions.restrict(name, {"equals": {"tenant": "a"}})
            giving = thread.submit(allow)
            until(
                lambda: giving.done() or superuser.execute(WAITING).fetchone(),
                "the permission is given, or waits for its conditions",
            )
            kit.auth_cache.put(user.id, b"h" * 32)
        giving.result(20)
    assert not kit.check(user.id, name, tenant="b")


def test_of_many_who_restrict_at_once_each_tells_what_it_was_before(kit, word):
    name = f"{word}:x"
    with kit.unit_of_work() as uow:
        uow.permissions.create(name)

    def restrict(number: int) -> None:
        with kit.unit_of_work() as uow:
            uow.permissions.restrict(name, {"equals": {"n": number}})

    race(restrict, CALLERS)
    entries = told(kit, f"permission:{name}", "permission.restrict")
    # Each state but the first and the last was left once, by who found it.
    left = {str(entry.before) for entry in entries}
    assert len(left) == len(entries) == CALLERS
    assert left - {str(entry.after) for entry in entries} == {"{'conditions': {}}"}
