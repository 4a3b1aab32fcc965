from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from authkit.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from authkit.ids import uuid7
from authkit.relational import Change, Reason
from authkit.testing import race

SOON = timedelta(hours=1)


def expire(superuser, user_id) -> None:
    superuser.execute(
        "UPDATE authkit.user_roles SET granted_at = now() - interval '2 hours',"
        " expires_at = now() - interval '1 hour' WHERE user_id = %s",
        (user_id,),
    )


def test_a_role_carries_its_permissions_to_whoever_holds_it(kit, user, word):
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.permissions.create(f"{word}:read")
        assert uow.roles.allow(word, f"{word}:read") is True
        assert uow.roles.allow(word, f"{word}:read") is False
        assert not uow.roles.check(user.id, f"{word}:read")
        assert uow.roles.grant(user.id, word).change is Change.ADDED
        decision = uow.roles.check(user.id, f"{word}:read")
        assert (decision.allowed, decision.role) == (True, word)
        assert not uow.roles.check(user.id, f"{word}:write")
        assert uow.roles.disallow(word, f"{word}:read") is True
        assert not uow.roles.check(user.id, f"{word}:read")


def test_the_action_star_covers_every_action_on_its_resource(kit, user, word):
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.permissions.create(f"{word}:*")
        uow.roles.allow(word, f"{word}:*")
        uow.roles.grant(user.id, word)
        assert uow.roles.check(user.id, f"{word}:anything")
        assert not uow.roles.check(user.id, f"{word}x:anything")


def test_granting_again_changes_the_expiry_or_nothing(kit, user):
    until = datetime.now(UTC) + SOON
    with kit.unit_of_work() as uow:
        changes = [
            uow.roles.grant(user.id, "user").change,
            uow.roles.grant(user.id, "user").change,
            uow.roles.grant(user.id, "user", expires_at=until).change,
            uow.roles.grant(user.id, "user", expires_at=until).change,
        ]
    assert changes == [
        Change.ADDED,
        Change.UNCHANGED,
        Change.CHANGED,
        Change.UNCHANGED,
    ]


def test_an_expired_grant_grants_nothing_and_is_explained(kit, superuser, user):
    with kit.unit_of_work() as uow:
        uow.roles.grant(user.id, "moderator", expires_at=datetime.now(UTC) + SOON)
    expire(superuser, user.id)
    with kit.unit_of_work() as uow:
        assert uow.roles.of(user.id) == []
        why = uow.roles.explain(user.id, "user:read")
        assert why.decision.reason is Reason.EXPIRED
        assert [path.holds for path in why.paths] == [False]
        assert user.id not in [h.user_id for h in uow.roles.who_can("user:read")]
        assert uow.roles.grant(user.id, "moderator").change is Change.CHANGED
        assert uow.roles.check(user.id, "user:read")


def test_a_disabled_user_may_do_nothing(kit, user):
    with kit.unit_of_work() as uow:
        uow.roles.grant(user.id, "admin")
        assert uow.roles.check(user.id, "audit:read")
        uow.users.disable(user.id)
        decision = uow.roles.check(user.id, "audit:read")
    assert (decision.allowed, decision.reason) == (False, Reason.DISABLED)


def test_a_stranger_may_do_nothing(kit):
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.roles.check(uuid7(), "user:read").reason is Reason.UNKNOWN_USER


def test_conditions_decide_with_the_context_of_the_request(kit, user, word):
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.permissions.create(f"{word}:edit", when={"owner": "author"})
        uow.roles.allow(word, f"{word}:edit")
        uow.roles.grant(user.id, word)
        refused = uow.roles.check(user.id, f"{word}:edit", author=uuid7())
        assert refused.reason is Reason.CONDITIONS
        assert uow.roles.check(user.id, f"{word}:edit", author=user.id)
        (holder,) = uow.roles.who_can(f"{word}:edit")
        assert (holder.user_id, holder.conditional) == (user.id, True)
        uow.permissions.restrict(f"{word}:edit", {})
        assert uow.roles.check(user.id, f"{word}:edit", author=uuid7())


def test_an_explanation_shows_every_way_through_roles(kit, user):
    admin = uuid7()
    with kit.unit_of_work() as uow:
        uow.users.create(f"{admin.hex}@example.com", user_id=admin)
        uow.roles.grant(user.id, "admin", granted_by=admin)
        uow.roles.grant(user.id, "moderator")
        why = uow.roles.explain(user.id, "user:read")
    assert [(p.role, p.granted_by) for p in why.paths] == [
        ("admin", admin),
        ("moderator", None),
    ]
    assert why.decision.allowed
    assert "admin -> user:read: holds" in str(why)


def test_many_permissions_are_checked_in_one_query(kit, user):
    with kit.unit_of_work() as uow:
        uow.roles.grant(user.id, "moderator")
        found = uow.roles.check_many(user.id, ["user:read", "audit:read"])
        assert uow.roles.check_many(user.id, []) == {}
    assert {name: d.allowed for name, d in found.items()} == {
        "user:read": True,
        "audit:read": False,
    }


def test_holders_are_read_in_pages(kit, word):
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.permissions.create(f"{word}:read")
        uow.roles.allow(word, f"{word}:read")
        made = []
        for _ in range(5):
            made.append(uow.users.create(f"{uuid7().hex}@example.com").id)
            uow.roles.grant(made[-1], word)
        first = uow.roles.who_can(f"{word}:read", limit=3)
        rest = uow.roles.who_can(f"{word}:read", after=first[-1].user_id, limit=3)
    assert [h.user_id for h in first + rest] == sorted(made)
    assert {h.roles for h in first + rest} == {(word,)}


def test_two_administrators_racing_on_a_grant_make_one_grant_and_an_entry_each(
    kit, user
):
    def grant(caller: int) -> Change:
        with kit.unit_of_work(actor=f"system:admin-{caller}") as uow:
            return uow.roles.grant(user.id, "user").change

    changes = race(grant, 30)
    assert changes.count(Change.ADDED) == 1
    assert changes.count(Change.UNCHANGED) == 29
    with kit.unit_of_work(read_only=True) as uow:
        entries = uow.audit.trail(target=f"user:{user.id}", action="role.grant")
        assert uow.roles.of(user.id) == ["user"]
    assert len({entry.actor for entry in entries}) == 30


def test_granting_and_revoking_at_once_ends_in_a_state_that_was_asked_for(kit, user):
    def act(caller: int) -> None:
        with kit.unit_of_work() as uow:
            if caller % 2:
                uow.roles.grant(user.id, "user")
            else:
                uow.roles.revoke(user.id, "user")

    race(act, 30)
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.roles.of(user.id) in ([], ["user"])


def test_a_change_of_grants_or_of_a_role_makes_cached_answers_stale(kit, user, word):
    with kit.unit_of_work() as uow:
        role = uow.roles.create(word)
        uow.permissions.create(f"{word}:read")
        before = uow.users.get(user.id).authz_version, role.version
        uow.roles.grant(user.id, word)
        uow.roles.allow(word, f"{word}:read")
        uow.session.expire_all()
        after = uow.users.get(user.id).authz_version, uow.roles.find(word).version
    assert after[0] > before[0]
    assert after[1] > before[1]


def test_names_that_are_taken_are_named_and_the_transaction_goes_on(kit, word):
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.permissions.create(f"{word}:read")
        with pytest.raises(AlreadyExists):
            uow.roles.create(word)
        with pytest.raises(AlreadyExists):
            uow.permissions.create(f"{word}:read")
        assert uow.roles.find(word) is not None


def test_what_is_not_there_is_not_found(kit, user, word):
    with kit.unit_of_work() as uow:
        with pytest.raises(NotFound):
            uow.roles.grant(user.id, word)
        with pytest.raises(NotFound):
            uow.roles.grant(uuid7(), "user")
        with pytest.raises(NotFound):
            uow.roles.allow("user", f"{word}:read")
        with pytest.raises(NotFound):
            uow.permissions.restrict(f"{word}:read", {})
        assert uow.roles.revoke(user.id, word) is False
        assert uow.roles.delete(word) is False


def test_a_grant_by_nobody_is_a_conflict(kit, user):
    with pytest.raises(Conflict) as caught, kit.unit_of_work() as uow:
        uow.roles.grant(user.id, "user", granted_by=uuid7())
    assert caught.value.constraint == "user_roles_granted_by_fkey"


def test_a_system_role_stays(kit):
    with kit.unit_of_work() as uow, pytest.raises(InvalidInput, match="system role"):
        uow.roles.delete("admin")


def test_a_deleted_role_is_held_by_nobody(kit, user, word):
    with kit.unit_of_work() as uow:
        uow.roles.create(word)
        uow.roles.grant(user.id, word)
        assert uow.roles.delete(word) is True
        assert uow.roles.of(user.id) == []


@pytest.mark.parametrize("name", ["", "user", "user:", ":read", "User:read", "user:*"])
def test_a_malformed_permission_is_refused(kit, user, name):
    with kit.unit_of_work(read_only=True) as uow, pytest.raises(InvalidInput):
        uow.roles.check(user.id, name)


def test_a_grant_that_is_over_already_is_refused(kit, user):
    with kit.unit_of_work() as uow, pytest.raises(InvalidInput, match="past"):
        uow.roles.grant(user.id, "user", expires_at=datetime.now(UTC))
