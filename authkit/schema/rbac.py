"""Roles, permissions and who holds them.

Two versions say when a cached answer is stale: `users.authz_version` and
`roles.version`. Triggers raise them, whoever writes: a change of a role must not touch
the rows of a million users, and a change of a grant must not depend on its caller.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from authkit.schema.columns import BIG, JsonObject, check, json_object, length
from authkit.schema.declarative import Record
from authkit.schema.metadata import SCHEMA

if TYPE_CHECKING:
    from authkit.schema.relational import User

_USER = f"{SCHEMA}.users.id"


class Role(Record):
    """A named set of permissions."""

    __tablename__ = "roles"
    __table_args__ = (
        check("name_shape", "name ~ '^[a-z][a-z0-9_.-]{0,62}$'"),
        length("description", 500),
        check("version_positive", "version > 0"),
        {"comment": "named sets of permissions"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    is_system: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="shipped with authkit; not to be deleted"
    )
    version: Mapped[int] = mapped_column(
        BIG,
        server_default=text("1"),
        comment="raised by a trigger whenever the role's permissions change",
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now()
    )

    grants: Mapped[list[UserRole]] = relationship(
        back_populates="role", lazy="raise", passive_deletes=True
    )
    permissions: Mapped[list[Permission]] = relationship(
        secondary=f"{SCHEMA}.role_permissions", lazy="raise", viewonly=True
    )


class Permission(Record):
    """An action on a kind of resource, under conditions."""

    __tablename__ = "permissions"
    __table_args__ = (
        UniqueConstraint("resource", "action"),
        check("name_shape", "name ~ '^[a-z][a-z0-9_.-]*:[a-z*][a-z0-9_.:*-]*$'"),
        length("name", 130),
        check("resource_shape", "resource ~ '^[a-z][a-z0-9_.-]{0,62}$'"),
        check("action_shape", "action ~ '^([a-z][a-z0-9_.-]{0,62}|[*])$'"),
        length("description", 500),
        json_object("conditions"),
        {"comment": "actions on kinds of resources"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True, comment="e.g. user:read")
    resource: Mapped[str]
    action: Mapped[str]
    conditions: Mapped[JsonObject] = mapped_column(
        server_default=text("'{}'::jsonb"),
        comment="equality, membership, owner, time window; all must hold",
    )
    description: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now()
    )


class UserRole(Record):
    """That a user holds a role, since when, by whom, until when."""

    __tablename__ = "user_roles"
    __table_args__ = (
        check("expires_after_grant", "expires_at > granted_at"),
        Index(None, "role_id"),
        Index(None, "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        Index(None, "granted_by", postgresql_where=text("granted_by IS NOT NULL")),
        {"comment": "who holds which role"},
    )

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey(_USER, ondelete="CASCADE"), primary_key=True
    )
    role_id: Mapped[UUID] = mapped_column(
        ForeignKey(f"{SCHEMA}.roles.id", ondelete="CASCADE"), primary_key=True
    )
    granted_by: Mapped[UUID | None] = mapped_column(
        ForeignKey(_USER, ondelete="SET NULL"), comment="null: the system"
    )
    granted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(comment="null: never")

    user: Mapped[User] = relationship(
        back_populates="grants", foreign_keys=[user_id], lazy="raise"
    )
    role: Mapped[Role] = relationship(back_populates="grants", lazy="raise")


class RolePermission(Record):
    """That a role carries a permission."""

    __tablename__ = "role_permissions"
    __table_args__ = (
        Index(None, "permission_id"),
        Index(None, "granted_by", postgresql_where=text("granted_by IS NOT NULL")),
        {"comment": "which permissions a role carries"},
    )

    role_id: Mapped[UUID] = mapped_column(
        ForeignKey(f"{SCHEMA}.roles.id", ondelete="CASCADE"), primary_key=True
    )
    permission_id: Mapped[UUID] = mapped_column(
        ForeignKey(f"{SCHEMA}.permissions.id", ondelete="CASCADE"), primary_key=True
    )
    granted_by: Mapped[UUID | None] = mapped_column(
        ForeignKey(_USER, ondelete="SET NULL"), comment="null: the system"
    )
    granted_at: Mapped[datetime] = mapped_column(server_default=func.now())
