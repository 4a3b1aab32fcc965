"""The hot path: sessions, attempts, limits, tokens.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-23
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for name in ("0002_hot", "0002_oauth", "0002_partitions"):
        op.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP FUNCTION authkit.drop_attempt_partitions, authkit.ensure_partitions,
            authkit.add_partition, authkit.attach_partition, authkit.bare_partition;
        DROP TABLE authkit.oauth_auth_codes, authkit.oauth_state_tracking,
            authkit.oauth_issued_tokens, authkit.oauth_token_cache,
            authkit.oauth_token_families, authkit.write_keys, authkit.user_auth_cache,
            authkit.rate_limit_tracking, authkit.auth_attempts, authkit.active_sessions
    """)
