"""What changes with every request is updated in place, without touching an index."""

from __future__ import annotations

from typing import Any

import pytest

CHANGES: list[tuple[str, str]] = [
    ("active_sessions", "last_activity = clock_timestamp()"),
    ("active_sessions", "revoked_at = NULL, rotated_at = clock_timestamp()"),
    (
        "rate_limit_tracking",
        "theoretical_arrival_at = now(), hits = hits + 1, policy = 'strict'",
    ),
    ("rate_limit_tracking", "blocked_until = clock_timestamp()"),
    ("user_auth_cache", "failed_attempts = failed_attempts + 1"),
    ("users", "failed_attempts = failed_attempts + 1, last_login_at = now()"),
    ("oauth_state_tracking", "consumed_at = clock_timestamp()"),
    ("oauth_auth_codes", "consumed_at = clock_timestamp()"),
    ("audit_chain_heads", "seq = seq + 1, recorded_at = clock_timestamp()"),
]


@pytest.mark.parametrize(("table", "change"), CHANGES)
def test_an_update_of_the_hot_path_writes_no_index(rows: Any, table: str, change: str):
    if table != "audit_chain_heads":
        rows.insert(table)
    rows.connection.execute(f"UPDATE authkit.{table} SET {change}")
    changed, in_place = rows.connection.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables"
        " WHERE schemaname = 'authkit' AND relname = %s",
        [table],
    ).fetchone()
    assert changed > 0
    assert in_place == changed


def test_using_a_token_and_a_credential_writes_no_index(rows: Any):
    rows.token()
    rows.credential()
    rows.connection.execute(
        "UPDATE authkit.oauth_issued_tokens SET first_used_at = now(),"
        " rotated_at = now()"
    )
    rows.connection.execute(
        "UPDATE authkit.webauthn_credentials SET sign_count = 1, last_used_at = now()"
    )
    missed = rows.connection.execute(
        "SELECT relname FROM pg_stat_xact_user_tables WHERE schemaname = 'authkit'"
        " AND n_tup_upd > n_tup_hot_upd"
    ).fetchall()
    assert missed == []
