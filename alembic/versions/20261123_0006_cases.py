"""Analysts: cases, labels and pseudonyms of a case.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-23
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute((SQL / "0006_cases.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP VIEW authkit.labels_masked, authkit.case_attempts_masked,
            authkit.cases_masked;
        DROP TRIGGER users_forget_pseudonyms ON authkit.users;
        DROP FUNCTION authkit.forget_pseudonyms, authkit.unmask,
            authkit.label_attempts, authkit.open_case;
        DROP TABLE authkit.attempt_labels, authkit.case_pseudonyms, authkit.cases
    """)
