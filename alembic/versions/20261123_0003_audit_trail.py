"""The audit trail: chained, append-only, partitioned.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-23
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for name in ("0003_audit", "0003_append"):
        op.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP FUNCTION authkit.audit_append;
        DROP TABLE authkit.audit_logs, authkit.audit_chain_heads
    """)
