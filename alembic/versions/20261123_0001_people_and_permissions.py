"""People, credentials, roles and permissions.

Revision ID: 0001
Revises:
Create Date: 2026-11-23
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for name in ("0001_people", "0001_rbac", "0001_guards", "0001_reference"):
        op.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP TABLE authkit.role_permissions, authkit.user_roles, authkit.permissions,
            authkit.roles, authkit.webauthn_credentials, authkit.sessions,
            authkit.accounts, authkit.subject_keys, authkit.user_backup_codes,
            authkit.user_totp, authkit.users;
        DROP FUNCTION authkit.raise_versions_of_holders,
            authkit.raise_versions_of_roles, authkit.raise_versions_of_users,
            authkit.raise_user_version, authkit.refuse
    """)
