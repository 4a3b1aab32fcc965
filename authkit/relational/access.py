"""Who may do what, and why: one query each, judged by the server's clock.

These read the node that the unit of work was opened on: the primary, unless it was
opened with a staleness bound. On a replica an answer is as late as that bound allows:
a revocation may go unseen for that long, and no longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from authkit.hot import CachedLogin, inputs
from authkit.relational import conditions
from authkit.relational.names import EVERY_ACTION, PermissionName
from authkit.schema.columns import INSTANT, JsonObject
from authkit.schema.relational import (
    Permission,
    Role,
    RolePermission,
    User,
    UserRole,
)

MAX_CHECKS = 1000
_NO_CONTEXT: conditions.Context = {}


class Reason(Enum):
    """Why a check came out as it did."""

    GRANTED = "granted by a role"
    NOT_GRANTED = "no role of the user carries it"
    EXPIRED = "the grant that carried it has expired"
    CONDITIONS = "the conditions of the permission do not hold"
    DISABLED = "the user is disabled"
    UNKNOWN_USER = "there is no such user"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a check; true where it is allowed. `role` carries it, if known."""

    allowed: bool
    reason: Reason
    role: str | None = None

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Path:
    """One way from user through role to permission, whether it holds or not."""

    role: str
    permission: str
    granted_by: UUID | None
    granted_at: datetime
    expires_at: datetime | None
    expired: bool
    conditions: JsonObject
    conditions_hold: bool

    @property
    def holds(self) -> bool:
        """True when this way alone is enough."""
        return self.conditions_hold and not self.expired


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something is allowed or not: the decision, and every way there is."""

    permission: str
    decision: Decision
    paths: tuple[Path, ...]

    def __str__(self) -> str:
        verdict = "allowed" if self.decision else "not allowed"
        lines = [f"{self.permission}: {verdict}, {self.decision.reason.value}"]
        for path in self.paths:
            state = "holds" if path.holds else "does not hold"
            lines.append(f"  {path.role} -> {path.permission}: {state}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Holder:
    """A user who has a permission; `conditional`: only where conditions hold."""

    user_id: UUID
    roles: tuple[str, ...]
    conditional: bool


@dataclass(frozen=True, slots=True)
class _Way:
    resource: str
    action: str
    path: Path


def explain(
    session: Session,
    user_id: UUID,
    permissions: Iterable[str],
    *,
    context: conditions.Context = _NO_CONTEXT,
) -> list[Explanation]:
    """Explain several permissions of one user, in one query.

    Args:
        session: on the node to ask.
        user_id: whose permissions.
        permissions: `resource:action`, up to 1,000.
        context: what conditions may look at, by name.

    Raises:
        InvalidInput: a permission is malformed, or there are too many.
    """
    inputs.identifier(user_id, "user id")
    names = [PermissionName.parse(name) for name in permissions]
    inputs.count(len(names), "number of permissions", low=0, high=MAX_CHECKS)
    if not names:
        return []
    found = session.execute(_ways(user_id, names)).all()
    if not found:
        unknown = Decision(False, Reason.UNKNOWN_USER)
        return [Explanation(str(name), unknown, ()) for name in names]
    disabled = found[0].disabled_at is not None
    ways = [_way(row, user_id, context) for row in found if row.role is not None]
    return [_explain_one(name, ways, disabled=disabled) for name in names]


def check(
    session: Session,
    user_id: UUID,
    permission: str,
    *,
    context: conditions.Context = _NO_CONTEXT,
) -> Decision:
    """Decide one permission of one user.

    Raises:
        InvalidInput: the permission is malformed.
    """
    return explain(session, user_id, [permission], context=context)[0].decision


def decide_cached(
    cached: CachedLogin, permission: str, context: conditions.Context = _NO_CONTEXT
) -> Decision:
    """Decide from what `auth_cache` holds; it does not say which role carries it.

    Raises:
        InvalidInput: the permission is malformed.
    """
    name = PermissionName.parse(permission)
    if cached.disabled_at is not None:
        return Decision(False, Reason.DISABLED)
    carried = {str(name), f"{name.resource}:{EVERY_ACTION}"} & set(cached.permissions)
    if not carried:
        return Decision(False, Reason.NOT_GRANTED)
    if any(
        conditions.holds(
            cached.conditions.get(held, {}),
            user=cached.user_id,
            context=context,
            now=cached.at,
        )
        for held in carried
    ):
        return Decision(True, Reason.GRANTED)
    return Decision(False, Reason.CONDITIONS)


def who_can(
    session: Session,
    permission: str,
    *,
    after: UUID | None = None,
    limit: int = 100,
) -> list[Holder]:
    """List who has a permission now, by user id, in pages: hand the last id back.

    Disabled users and expired grants are left out. Conditions depend on the request,
    so whoever has it under conditions only is listed and marked `conditional`.

    Raises:
        InvalidInput: the permission is malformed, or the limit not 1 to 1,000.
    """
    name = PermissionName.parse(permission)
    statement = (
        select(
            UserRole.user_id,
            func.array_agg(aggregate_order_by(Role.name.distinct(), Role.name)).label(
                "roles"
            ),
            func.bool_and(Permission.conditions != {}).label("conditional"),
        )
        .join(Role, Role.id == UserRole.role_id)
        .join(RolePermission, RolePermission.role_id == Role.id)
        .join(Permission, Permission.id == RolePermission.permission_id)
        .join(User, User.id == UserRole.user_id)
        .where(
            _matches([name]),
            User.disabled_at.is_(None),
            or_(
                UserRole.expires_at.is_(None),
                UserRole.expires_at > func.clock_timestamp(),
            ),
        )
        .group_by(UserRole.user_id)
        .order_by(UserRole.user_id)
        .limit(inputs.count(limit, "limit", low=1, high=1000))
    )
    if after is not None:
        statement = statement.where(UserRole.user_id > after)
    return [
        Holder(user_id, tuple(roles), conditional)
        for user_id, roles, conditional in session.execute(statement)
    ]


def _matches(names: Sequence[PermissionName]) -> ColumnElement[bool]:
    resources = {name.resource for name in names}
    actions = {name.action for name in names} | {EVERY_ACTION}
    return and_(Permission.resource.in_(resources), Permission.action.in_(actions))


def _ways(user_id: UUID, names: Sequence[PermissionName]) -> Select[*tuple[Any, ...]]:
    ways = (
        select(
            UserRole.user_id,
            UserRole.granted_by,
            UserRole.granted_at,
            UserRole.expires_at,
            (UserRole.expires_at <= func.clock_timestamp()).label("expired"),
            Role.name.label("role"),
            Permission.resource,
            Permission.action,
            Permission.conditions,
        )
        .join(Role, Role.id == UserRole.role_id)
        .join(RolePermission, RolePermission.role_id == Role.id)
        .join(Permission, Permission.id == RolePermission.permission_id)
        .where(UserRole.user_id == user_id, _matches(names))
        .subquery("ways")
    )
    return (
        select(
            User.disabled_at,
            func.clock_timestamp(type_=INSTANT).label("at"),
            ways.c.granted_by,
            ways.c.granted_at,
            ways.c.expires_at,
            func.coalesce(ways.c.expired, False).label("expired"),
            ways.c.role,
            ways.c.resource,
            ways.c.action,
            ways.c.conditions,
        )
        .outerjoin(ways, ways.c.user_id == User.id)
        .where(User.id == user_id)
        .order_by(ways.c.role, ways.c.action)
    )


def _way(row: Row[Any], user_id: UUID, context: conditions.Context) -> _Way:
    path = Path(
        role=row.role,
        permission=f"{row.resource}:{row.action}",
        granted_by=row.granted_by,
        granted_at=row.granted_at,
        expires_at=row.expires_at,
        expired=row.expired,
        conditions=row.conditions,
        conditions_hold=conditions.holds(
            row.conditions, user=user_id, context=context, now=row.at
        ),
    )
    return _Way(row.resource, row.action, path)


def _explain_one(
    name: PermissionName, ways: Sequence[_Way], *, disabled: bool
) -> Explanation:
    paths = tuple(
        way.path
        for way in ways
        if way.resource == name.resource and way.action in (name.action, EVERY_ACTION)
    )
    return Explanation(str(name), _decide(paths, disabled=disabled), paths)


def _decide(paths: Sequence[Path], *, disabled: bool) -> Decision:
    if disabled:
        return Decision(False, Reason.DISABLED)
    holding = next((path for path in paths if path.holds), None)
    if holding is not None:
        return Decision(True, Reason.GRANTED, holding.role)
    if not paths:
        return Decision(False, Reason.NOT_GRANTED)
    if all(path.expired for path in paths):
        return Decision(False, Reason.EXPIRED)
    return Decision(False, Reason.CONDITIONS)
