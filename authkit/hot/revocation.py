"""Ending sessions: one by its id, one by its token, all of a user but perhaps one.

Ending a session ends its refresh tokens and its record in the same statement: the row
of the token family is what issuing and rotating ask. Tokens may outlive the row of
their session, which is purged after its expiry: they are found by its id and its user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from authkit.hot.operation import AnyOperation, Intent, Operation
from authkit.hot.sessions import Locked


@dataclass(slots=True)
class Ended:
    """A session that was ended by this call and not before."""

    id: UUID
    user_id: UUID


# An end that stands by itself runs behind one of these: it then sees the tokens that
# were being issued for the session, whose issue holds a share lock on it.
LOCK: Final = Operation(
    name="sessions.lock",
    sql="""
    SELECT id FROM authkit.active_sessions
    WHERE id = $1 AND revoked_at IS NULL
    FOR NO KEY UPDATE
    """,
    parameters=("id",),
    types=("uuid",),
    row=Locked,
    intent=Intent.WRITE,
    idempotent=True,
)

LOCK_TOKEN: Final = Operation(
    name="sessions.lock_token",
    sql="""
    SELECT id FROM authkit.active_sessions
    WHERE token_digest = $1 AND revoked_at IS NULL
    FOR NO KEY UPDATE
    """,
    parameters=("token_digest",),
    types=("bytea",),
    row=Locked,
    intent=Intent.WRITE,
    idempotent=True,
)

REVOKE: Final = Operation(
    name="sessions.revoke",
    sql="""
    WITH ended AS (
      UPDATE authkit.active_sessions
      SET revoked_at = clock_timestamp(), revoke_reason = $2
      WHERE id = $1 AND revoked_at IS NULL
      RETURNING id, user_id, last_activity, revoked_at, refresh_family_id
    ), record AS (
      UPDATE authkit.sessions AS s
      SET ended_at = e.revoked_at, end_reason = $2, last_activity_at = e.last_activity
      FROM ended AS e
      WHERE s.id = e.id AND s.ended_at IS NULL
    ), family AS (
      UPDATE authkit.oauth_token_families AS f
      SET revoked_at = clock_timestamp(), revoke_reason = $2
      WHERE f.revoked_at IS NULL AND f.id IN (
        SELECT refresh_family_id FROM ended
        UNION ALL
        SELECT id FROM authkit.oauth_token_families
        WHERE session_id = $1 AND revoked_at IS NULL)
    )
    SELECT id, user_id FROM ended
    """,
    parameters=("id", "reason"),
    types=("uuid", "text"),
    row=Ended,
    intent=Intent.WRITE,
    idempotent=True,
)

REVOKE_TOKEN: Final = Operation(
    name="sessions.revoke_token",
    sql="""
    WITH ended AS (
      UPDATE authkit.active_sessions
      SET revoked_at = clock_timestamp(), revoke_reason = $2
      WHERE token_digest = $1 AND revoked_at IS NULL
      RETURNING id, user_id, last_activity, revoked_at, refresh_family_id
    ), record AS (
      UPDATE authkit.sessions AS s
      SET ended_at = e.revoked_at, end_reason = $2, last_activity_at = e.last_activity
      FROM ended AS e
      WHERE s.id = e.id AND s.ended_at IS NULL
    ), family AS (
      UPDATE authkit.oauth_token_families AS f
      SET revoked_at = clock_timestamp(), revoke_reason = $2
      WHERE f.revoked_at IS NULL AND f.id IN (
        SELECT refresh_family_id FROM ended
        UNION ALL
        SELECT own.id FROM authkit.oauth_token_families AS own
        JOIN ended ON own.session_id = ended.id
        WHERE own.revoked_at IS NULL)
    )
    SELECT id, user_id FROM ended
    """,
    parameters=("token_digest", "reason"),
    types=("bytea", "text"),
    row=Ended,
    intent=Intent.WRITE,
    idempotent=True,
)

# Run behind `sessions.lock_user`, it also sees the sessions that were being created.
# Rows are locked in one order, so that two of these never deadlock.
REVOKE_USER: Final = Operation(
    name="sessions.revoke_user",
    sql="""
    WITH chosen AS MATERIALIZED (
      SELECT id FROM authkit.active_sessions
      WHERE user_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL
      ORDER BY id
      FOR NO KEY UPDATE
    ), ended AS (
      UPDATE authkit.active_sessions AS a
      SET revoked_at = clock_timestamp(), revoke_reason = $3
      FROM chosen AS c
      WHERE a.id = c.id
      RETURNING a.id, a.user_id, a.last_activity, a.revoked_at, a.refresh_family_id
    ), record AS (
      UPDATE authkit.sessions AS s
      SET ended_at = e.revoked_at, end_reason = $3, last_activity_at = e.last_activity
      FROM ended AS e
      WHERE s.id = e.id AND s.ended_at IS NULL
    ), family AS (
      UPDATE authkit.oauth_token_families AS f
      SET revoked_at = clock_timestamp(), revoke_reason = $3
      WHERE f.revoked_at IS NULL AND f.id IN (
        SELECT refresh_family_id FROM ended
        UNION ALL
        SELECT id FROM authkit.oauth_token_families
        WHERE user_id = $1 AND session_id IS NOT NULL
          AND session_id IS DISTINCT FROM $2 AND revoked_at IS NULL)
    )
    SELECT id, user_id FROM ended
    """,
    parameters=("user_id", "keep", "reason"),
    types=("uuid", "uuid", "text"),
    row=Ended,
    intent=Intent.WRITE,
    idempotent=True,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    LOCK,
    LOCK_TOKEN,
    REVOKE,
    REVOKE_TOKEN,
    REVOKE_USER,
)
