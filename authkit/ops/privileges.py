"""What each group role may really do, beside what it should be allowed.

Privileges on tables, single columns and functions are read from the access control
lists; what is granted to PUBLIC is granted to every role, so nothing may be.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from authkit.ops.catalogue import rows
from authkit.ops.findings import Finding, fault
from authkit.schema.roles import (
    COLUMN_PRIVILEGES,
    FUNCTION_PRIVILEGES,
    ROLES,
    TABLE_PRIVILEGES,
    Privileges,
)

Grant = tuple[str, str]
"""An object, and a privilege on it."""

PUBLIC = "PUBLIC"


def declared_grants(role: str) -> frozenset[Grant]:
    """Return everything a role should be granted."""
    return frozenset(
        {
            *_flat(TABLE_PRIVILEGES.get(role, {})),
            *_flat(COLUMN_PRIVILEGES.get(role, {})),
            *((f"{name}()", "EXECUTE") for name in FUNCTION_PRIVILEGES.get(role, ())),
        }
    )


def live_grants(connection: Connection) -> dict[str, frozenset[Grant]]:
    """Return everything that the group roles and PUBLIC are granted."""
    found = rows(
        connection,
        # MAINTAIN is left out: it is granted where the server knows it (17 or later).
        "SELECT coalesce(r.rolname, 'PUBLIC') AS role, g.object, g.privilege"
        " FROM ("
        "  SELECT a.grantee, c.relname AS object, a.privilege_type AS privilege"
        "   FROM pg_catalog.pg_class AS c"
        "   JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        "   CROSS JOIN LATERAL aclexplode(c.relacl) AS a"
        "   WHERE n.nspname = :schema AND NOT c.relispartition"
        "    AND a.privilege_type <> 'MAINTAIN'"
        "  UNION ALL"
        "  SELECT a.grantee, c.relname || '.' || t.attname, a.privilege_type"
        "   FROM pg_catalog.pg_attribute AS t"
        "   JOIN pg_catalog.pg_class AS c ON c.oid = t.attrelid"
        "   JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        "   CROSS JOIN LATERAL aclexplode(t.attacl) AS a"
        "   WHERE n.nspname = :schema"
        "  UNION ALL"
        "  SELECT a.grantee, p.proname || '()', a.privilege_type"
        "   FROM pg_catalog.pg_proc AS p"
        "   JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
        "   CROSS JOIN LATERAL aclexplode("
        "    coalesce(p.proacl, acldefault('f', p.proowner))) AS a"
        "   WHERE n.nspname = :schema"
        " ) AS g LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = g.grantee"
        " WHERE g.grantee = 0 OR r.rolname = ANY (:roles)",
        roles=list(ROLES),
    )
    grants: dict[str, set[Grant]] = {role: set() for role in (*ROLES, PUBLIC)}
    for row in found:
        grants[row.role].add((row.object, row.privilege))
    return {role: frozenset(held) for role, held in grants.items()}


def differences_of_privileges(connection: Connection) -> Iterable[Finding]:
    """Compare what each group role is granted with what it should be."""
    present = set(present_roles(connection))
    live = live_grants(connection)
    for role in ROLES:
        if role not in present:
            yield fault(role, "missing_role", "the role is missing", "authkit db setup")
    for role in (*sorted(present), PUBLIC):
        declared = declared_grants(role)
        for name, privilege in sorted(live[role] - declared):
            yield fault(
                role,
                "extra_privilege",
                f"may {privilege} {name}, and should not",
                f"find out who granted it, and revoke it from {role}",
            )
        for name, privilege in sorted(declared - live[role]):
            yield fault(
                role,
                "missing_privilege",
                f"may not {privilege} {name}, and should",
                f"find out who revoked it, and grant it to {role}",
            )


def present_roles(connection: Connection) -> tuple[str, ...]:
    """Return those of our group roles that the server has."""
    found = connection.execute(
        text("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (:roles)"),
        {"roles": list(ROLES)},
    ).scalars()
    return tuple(sorted(found))


def _flat(privileges: Privileges) -> Iterable[Grant]:
    for name, held in privileges.items():
        for privilege in held:
            yield name, privilege
