"""Risk: the counts that login scores are made of.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-23
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute((SQL / "0005_risk.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP FUNCTION authkit.risk_merge, authkit.risk_age, authkit.risk_freeman_ratio;
        DROP TABLE authkit.risk_logins, authkit.risk_users, authkit.risk_user_counts,
            authkit.risk_counts, authkit.risk_pairs, authkit.risk_totals,
            authkit.risk_deltas
    """)
