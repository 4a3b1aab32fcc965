"""Who may do what: group roles, grants, masked views.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-23
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for name in ("0004_masking", "0004_masks", "0004_roles"):
        op.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP VIEW authkit.audit_masked, authkit.sessions_masked,
            authkit.attempts_masked;
        DROP FUNCTION authkit.id_bytes, authkit.address_prefix, authkit.keyed_token;
        DROP TABLE authkit.masking_keys;
        -- The roles themselves stay: they belong to the server, and other databases of
        -- it may grant to them. What this database granted goes.
        REVOKE ALL ON ALL TABLES IN SCHEMA authkit
            FROM authkit_app, authkit_analyst, authkit_maintenance, authkit_backup;
        REVOKE ALL ON ALL FUNCTIONS IN SCHEMA authkit
            FROM authkit_app, authkit_analyst, authkit_maintenance, authkit_backup;
        REVOKE ALL ON SCHEMA authkit
            FROM authkit_app, authkit_analyst, authkit_maintenance, authkit_backup
    """)
