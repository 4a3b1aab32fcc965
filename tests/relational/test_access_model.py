"""Who may do what, against a plain model."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from authkit.ids import uuid7
from authkit.relational import Change

USERS, ROLES = range(3), range(3)
ACTIONS = ("read", "write", "*")
FUTURE = datetime.now(UTC) + timedelta(days=1)
users, roles = st.sampled_from(USERS), st.sampled_from(ROLES)
actions = st.sampled_from(ACTIONS)


@dataclass
class World:
    """What there should be: grants with whether they still run, and permissions."""

    grants: dict[tuple[int, int], datetime | None] = field(default_factory=dict)
    expired: set[tuple[int, int]] = field(default_factory=set)
    carries: set[tuple[int, str]] = field(default_factory=set)
    disabled: set[int] = field(default_factory=set)

    def roles_that_allow(self, user: int, action: str) -> set[int]:
        if user in self.disabled:
            return set()
        return {
            role
            for role in ROLES
            if (user, role) in self.grants
            and (user, role) not in self.expired
            and ({(role, action), (role, "*")} & self.carries)
        }


class Access(RuleBasedStateMachine):
    """Three users, three roles, two actions and the star."""

    kit: Any
    superuser: Any

    @initialize()
    def start(self) -> None:
        self.mark = f"m{uuid7().hex}"
        self.world = World()
        with self.kit.unit_of_work() as uow:
            self.ids = [
                uow.users.create(f"{n}.{self.mark}@example.com").id for n in USERS
            ]
            for role in ROLES:
                uow.roles.create(self.role(role))
            for action in ACTIONS:
                uow.permissions.create(f"{self.mark}:{action}")

    def role(self, number: int) -> str:
        return f"{self.mark}-{number}"

    @rule(user=users, role=roles, until=st.sampled_from([None, FUTURE]))
    def grant(self, user, role, until):
        with self.kit.unit_of_work() as uow:
            made = uow.roles.grant(self.ids[user], self.role(role), expires_at=until)
        key = (user, role)
        if key not in self.world.grants:
            expected = Change.ADDED
        elif key in self.world.expired or self.world.grants[key] != until:
            expected = Change.CHANGED
        else:
            expected = Change.UNCHANGED
        assert made.change is expected
        self.world.grants[key] = until
        self.world.expired.discard(key)

    @rule(user=users, role=roles)
    def revoke(self, user, role):
        with self.kit.unit_of_work() as uow:
            removed = uow.roles.revoke(self.ids[user], self.role(role))
        assert removed is ((user, role) in self.world.grants)
        self.world.grants.pop((user, role), None)
        self.world.expired.discard((user, role))

    @rule(user=users, role=roles)
    def let_expire(self, user, role):
        if (user, role) in self.world.grants:
            self.superuser.execute(
                "UPDATE authkit.user_roles AS g SET expires_at = now(),"
                " granted_at = now() - interval '1 day' FROM authkit.roles AS r"
                " WHERE r.id = g.role_id AND r.name = %s AND g.user_id = %s",
                (self.role(role), self.ids[user]),
            )
            self.world.expired.add((user, role))

    @rule(role=roles, action=actions)
    def allow(self, role, action):
        with self.kit.unit_of_work() as uow:
            added = uow.roles.allow(self.role(role), f"{self.mark}:{action}")
        assert added is ((role, action) not in self.world.carries)
        self.world.carries.add((role, action))

    @rule(role=roles, action=actions)
    def disallow(self, role, action):
        with self.kit.unit_of_work() as uow:
            removed = uow.roles.disallow(self.role(role), f"{self.mark}:{action}")
        assert removed is ((role, action) in self.world.carries)
        self.world.carries.discard((role, action))

    @rule(user=users, disabled=st.booleans())
    def shut_out_or_let_in(self, user, disabled):
        with self.kit.unit_of_work() as uow:
            if disabled:
                uow.users.disable(self.ids[user])
                self.world.disabled.add(user)
            else:
                uow.users.enable(self.ids[user])
                self.world.disabled.discard(user)

    @invariant()
    def every_question_is_answered_as_the_model_does(self):
        if not hasattr(self, "world"):
            return
        names = [f"{self.mark}:{action}" for action in ("read", "write")]
        with self.kit.unit_of_work(read_only=True) as uow:
            held = [uow.roles.check_many(user_id, names) for user_id in self.ids]
            listed = {name: uow.roles.who_can(name, limit=1000) for name in names}
        for name in names:
            action = name.partition(":")[2]
            allowing = [self.world.roles_that_allow(user, action) for user in USERS]
            assert [held[user][name].allowed for user in USERS] == [
                bool(found) for found in allowing
            ]
            expected = {
                self.ids[user]: {self.role(role) for role in allowing[user]}
                for user in USERS
                if allowing[user]
            }
            found = {holder.user_id: set(holder.roles) for holder in listed[name]}
            assert found == expected


def test_access_behaves_like_its_model(kit, superuser):
    def machine() -> Access:
        made = Access()
        made.kit, made.superuser = kit, superuser
        return made

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
