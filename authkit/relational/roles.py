"""Roles: make them, give them permissions, grant them, ask what follows.

Every change has its audit entry. What follows from grants is answered by
`authkit.relational.access`, on the node that the transaction runs on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import BOOLEAN, insert
from sqlalchemy.orm import Session

from authkit.errors import AlreadyExists, InvalidInput, NotFound
from authkit.hot import inputs
from authkit.ids import uuid7
from authkit.relational import access
from authkit.relational.event import entity
from authkit.relational.grants import Change, Grant
from authkit.relational.journal import Journal
from authkit.relational.names import PermissionName, role_name
from authkit.relational.presence import hold
from authkit.schema.columns import INSTANT, UUID_
from authkit.schema.relational import (
    Permission,
    Role,
    RolePermission,
    User,
    UserRole,
)


class Roles:
    """The roles, within one transaction."""

    def __init__(self, session: Session, journal: Journal) -> None:
        self._session = session
        self._journal = journal

    def create(self, name: str, *, description: str | None = None) -> Role:
        """Add a role without permissions.

        Raises:
            InvalidInput: the name is not one lower-case word, or the text too long.
            AlreadyExists: a role has this name; the transaction is still good.
        """
        if description is not None:
            inputs.text(description, "description", limit=500)
        statement = (
            insert(Role)
            .values(id=uuid7(), name=role_name(name), description=description)
            .on_conflict_do_nothing(index_elements=[Role.name])
            .returning(Role)
        )
        role = self._session.scalars(statement).one_or_none()
        if role is None:
            raise AlreadyExists("a role has this name", constraint="roles_name_key")
        self._journal.record("role.create", target=entity("role", name))
        return role

    def find(self, name: str) -> Role | None:
        """Return the role of a name.

        Raises:
            InvalidInput: the name is not one lower-case word.
        """
        statement = select(Role).where(Role.name == role_name(name))
        return self._session.scalars(statement).one_or_none()

    def page(self, *, after: str = "", limit: int = 100) -> list[Role]:
        """Return roles by name, in pages: hand the last name back.

        Raises:
            InvalidInput: the limit is not between 1 and 1,000.
        """
        statement = (
            select(Role)
            .where(Role.name > after)
            .order_by(Role.name)
            .limit(inputs.count(limit, "limit", low=1, high=1000))
        )
        return list(self._session.scalars(statement))

    def delete(self, name: str) -> bool:
        """Delete a role, with its grants; False where there is none.

        Raises:
            InvalidInput: it is a system role, which stays.
        """
        role = self.find(name)
        if role is None:
            return False
        if role.is_system:
            raise InvalidInput("a system role cannot be deleted")
        gone = self._session.scalar(
            delete(Role).where(Role.id == role.id).returning(Role.id)
        )
        if gone is not None:
            self._journal.record("role.delete", target=entity("role", name))
        return gone is not None

    def allow(self, role: str, permission: str) -> bool:
        """Give a role a permission; False where it has it already.

        Raises:
            InvalidInput: a name is malformed.
            NotFound: there is no such role or permission.
        """
        wanted = PermissionName.parse(permission, wildcard=True)
        pair = (
            select(Role.id, Permission.id)
            .join(Permission, literal(True))
            .where(
                Role.name == role_name(role),
                Permission.resource == wanted.resource,
                Permission.action == wanted.action,
            )
        )
        statement = (
            insert(RolePermission)
            .from_select(["role_id", "permission_id"], pair)
            .on_conflict_do_nothing()
            .returning(RolePermission.role_id)
        )
        added = self._session.scalar(statement) is not None
        if not added and self._session.execute(pair).first() is None:
            raise NotFound("there is no such role or permission")
        self._journal.record(
            "role.allow",
            target=entity("role", role),
            details={"permission": str(wanted), "changed": added},
        )
        return added

    def disallow(self, role: str, permission: str) -> bool:
        """Take a permission from a role; False where it has none such.

        Raises:
            InvalidInput: a name is malformed.
        """
        wanted = PermissionName.parse(permission, wildcard=True)
        statement = (
            delete(RolePermission)
            .where(
                RolePermission.role_id == Role.id,
                RolePermission.permission_id == Permission.id,
                Role.name == role_name(role),
                Permission.resource == wanted.resource,
                Permission.action == wanted.action,
            )
            .returning(RolePermission.role_id)
        )
        removed = (
            self._session.scalar(
                statement, execution_options={"synchronize_session": False}
            )
            is not None
        )
        self._journal.record(
            "role.disallow",
            target=entity("role", role),
            details={"permission": str(wanted), "changed": removed},
        )
        return removed

    def grant(
        self,
        user_id: UUID,
        role: str,
        *,
        expires_at: datetime | None = None,
        granted_by: UUID | None = None,
    ) -> Grant:
        """Give a user a role; a grant that is there takes the new expiry.

        Of two who grant the same at once one adds it and the other is told that it is
        there; each has an audit entry. A disabled user may be given a role, which
        allows nothing before the user is enabled.

        Raises:
            InvalidInput: the expiry is past, or a name malformed.
            NotFound: there is no such user or role, or the user was erased; the
                transaction is still good.
            Conflict: `granted_by` is no user.
        """
        inputs.identifier(user_id, "user id")
        if expires_at is not None and inputs.moment(
            expires_at, "expiry"
        ) <= datetime.now(UTC):
            raise InvalidInput("the expiry of the grant lies in the past")
        hold(self._session, user_id)
        found = (
            select(
                User.id,
                Role.id,
                literal(granted_by, UUID_),
                func.clock_timestamp(),
                literal(expires_at, INSTANT),
            )
            .join(Role, literal(True))
            .where(User.id == user_id, Role.name == role_name(role))
        )
        fresh = insert(UserRole).from_select(
            ["user_id", "role_id", "granted_by", "granted_at", "expires_at"], found
        )
        statement = fresh.on_conflict_do_update(
            index_elements=[UserRole.user_id, UserRole.role_id],
            set_={
                "granted_by": fresh.excluded.granted_by,
                "granted_at": fresh.excluded.granted_at,
                "expires_at": fresh.excluded.expires_at,
            },
            where=UserRole.expires_at.is_distinct_from(fresh.excluded.expires_at),
        ).returning(literal_column("xmax = 0", BOOLEAN).label("added"))
        row = self._session.execute(statement).first()
        if row is not None:
            change = Change.ADDED if row.added else Change.CHANGED
        elif self._session.execute(found).first() is None:
            raise NotFound("there is no such role")
        else:
            change = Change.UNCHANGED
        self._journal.record(
            "role.grant",
            target=entity("user", user_id),
            details={
                "role": role,
                "change": change.value,
                "expires_at": None if expires_at is None else expires_at.isoformat(),
            },
        )
        return Grant(user_id, role, expires_at, change)

    def revoke(self, user_id: UUID, role: str) -> bool:
        """Take a role from a user; False where the user does not hold it.

        Raises:
            InvalidInput: a name is malformed.
        """
        inputs.identifier(user_id, "user id")
        statement = (
            delete(UserRole)
            .where(
                UserRole.user_id == user_id,
                UserRole.role_id == Role.id,
                Role.name == role_name(role),
            )
            .returning(UserRole.role_id)
        )
        removed = (
            self._session.scalar(
                statement, execution_options={"synchronize_session": False}
            )
            is not None
        )
        self._journal.record(
            "role.revoke",
            target=entity("user", user_id),
            details={"role": role, "changed": removed},
        )
        return removed

    def of(self, user_id: UUID, *, after: str = "", limit: int = 100) -> list[str]:
        """Return the roles that a user holds now by name, in pages.

        Raises:
            InvalidInput: the limit is not between 1 and 1,000.
        """
        statement = (
            select(Role.name)
            .join(UserRole, UserRole.role_id == Role.id)
            .where(
                UserRole.user_id == user_id,
                Role.name > after,
                UserRole.expires_at.is_(None)
                | (UserRole.expires_at > func.clock_timestamp()),
            )
            .order_by(Role.name)
            .limit(inputs.count(limit, "limit", low=1, high=1000))
        )
        return list(self._session.scalars(statement))

    def check(
        self, user_id: UUID, permission: str, **context: object
    ) -> access.Decision:
        """Decide one permission of a user; `context` is what conditions may look at.

        Raises:
            InvalidInput: the permission is malformed.
        """
        return access.check(self._session, user_id, permission, context=context)

    def check_many(
        self, user_id: UUID, permissions: Iterable[str], **context: object
    ) -> dict[str, access.Decision]:
        """Decide several permissions of a user in one query.

        Raises:
            InvalidInput: a permission is malformed, or there are more than 1,000.
        """
        found = access.explain(self._session, user_id, permissions, context=context)
        return {one.permission: one.decision for one in found}

    def explain(
        self, user_id: UUID, permission: str, **context: object
    ) -> access.Explanation:
        """Say why a user may or may not do something: every way through roles.

        Raises:
            InvalidInput: the permission is malformed.
        """
        found = access.explain(self._session, user_id, [permission], context=context)
        return found[0]

    def who_can(
        self, permission: str, *, after: UUID | None = None, limit: int = 100
    ) -> list[access.Holder]:
        """List who has a permission now, by user id, in pages.

        Raises:
            InvalidInput: the permission is malformed, or the limit not 1 to 1,000.
        """
        return access.who_can(self._session, permission, after=after, limit=limit)
