"""Permissions: an action on a kind of resource, under conditions."""

from __future__ import annotations

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from authkit.errors import AlreadyExists, NotFound
from authkit.hot import inputs
from authkit.ids import uuid7
from authkit.relational import conditions
from authkit.relational.event import entity
from authkit.relational.journal import Journal
from authkit.relational.names import PermissionName
from authkit.schema.relational import Permission


class Permissions:
    """The permissions, within one transaction."""

    def __init__(self, session: Session, journal: Journal) -> None:
        self._session = session
        self._journal = journal

    def create(
        self,
        name: str,
        *,
        description: str | None = None,
        when: conditions.Conditions | None = None,
    ) -> Permission:
        """Add a permission `resource:action`; the action `*` covers every one.

        Args:
            name: unique.
            description: up to 500 characters.
            when: conditions that must hold (`authkit.relational.conditions`).

        Raises:
            InvalidInput: the name or a condition is malformed.
            AlreadyExists: there is one of this name; the transaction is still good.
        """
        parts = PermissionName.parse(name, wildcard=True)
        if description is not None:
            inputs.text(description, "description", limit=500)
        statement = (
            insert(Permission)
            .values(
                id=uuid7(),
                name=str(parts),
                resource=parts.resource,
                action=parts.action,
                description=description,
                conditions=conditions.parse(when or {}),
            )
            .on_conflict_do_nothing(
                index_elements=[Permission.resource, Permission.action]
            )
            .returning(Permission)
        )
        permission = self._session.scalars(statement).one_or_none()
        if permission is None:
            raise AlreadyExists(
                "there is a permission of this name",
                constraint="permissions_resource_action_key",
            )
        self._journal.record(
            "permission.create",
            target=entity("permission", name),
            after={"conditions": dict(when or {})},
        )
        return permission

    def find(self, name: str) -> Permission | None:
        """Return the permission of a name.

        Raises:
            InvalidInput: the name is not resource:action.
        """
        statement = self._named(PermissionName.parse(name, wildcard=True))
        return self._session.scalars(statement).one_or_none()

    def restrict(self, name: str, when: conditions.Conditions) -> Permission:
        """Replace the conditions of a permission; an empty object removes them.

        Raises:
            InvalidInput: the name or a condition is malformed.
            NotFound: there is no such permission.
        """
        parts = PermissionName.parse(name, wildcard=True)
        # Locked: what the trail says it was before is what it was.
        locked = self._named(parts).with_for_update(key_share=True)
        before = self._session.scalars(locked, execution_options=_FRESH).one_or_none()
        if before is None:
            raise NotFound("there is no such permission")
        old = dict(before.conditions)
        statement = (
            update(Permission)
            .where(Permission.id == before.id)
            .values(conditions=conditions.parse(when))
            .returning(Permission)
        )
        permission = self._session.scalars(statement, execution_options=_FRESH).one()
        self._journal.record(
            "permission.restrict",
            target=entity("permission", name),
            before={"conditions": old},
            after={"conditions": dict(when)},
        )
        return permission

    def page(self, *, after: str = "", limit: int = 100) -> list[Permission]:
        """Return permissions by name, in pages: hand the last name back.

        Raises:
            InvalidInput: the limit is not between 1 and 1,000.
        """
        statement = (
            select(Permission)
            .where(Permission.name > after)
            .order_by(Permission.name)
            .limit(inputs.count(limit, "limit", low=1, high=1000))
        )
        return list(self._session.scalars(statement))

    @staticmethod
    def _named(parts: PermissionName) -> Select[Permission]:
        return select(Permission).where(
            Permission.resource == parts.resource, Permission.action == parts.action
        )


_FRESH = {"populate_existing": True}
