"""Tokens that we issue: issued, looked at, revoked by family, purged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from authkit.hot.expiring import purge
from authkit.hot.oauth_codes import LockedFamily
from authkit.hot.operation import AnyOperation, Intent, Operation


@dataclass(slots=True)
class TokenInfo:
    """A token that is good now, as introspection tells it (RFC 7662)."""

    id: UUID
    kind: str
    family_id: UUID
    generation: int
    client_id: str
    user_id: UUID | None
    session_id: UUID | None
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    proof_thumbprint: bytes | None
    first_used_at: datetime | None


@dataclass(slots=True)
class Issue:
    """When tokens that were issued end; None where they were not."""

    access_expires_at: datetime | None
    refresh_expires_at: datetime | None


# As for a code (`oauth_codes.CREATE`): who is shut out, or ends the session, waits.
ISSUE: Final = Operation(
    name="oauth_tokens.issue",
    sql="""
    WITH clock AS MATERIALIZED (
      SELECT clock_timestamp() AS at
    ), owner AS MATERIALIZED (
      SELECT id FROM authkit.users
      WHERE id = $3 AND disabled_at IS NULL
      FOR SHARE
    ), session AS MATERIALIZED (
      SELECT s.id FROM owner
      JOIN authkit.active_sessions AS s ON s.id = $4 AND s.user_id = owner.id
      WHERE s.revoked_at IS NULL
        AND s.expires_at > clock_timestamp()
        AND s.last_activity + s.idle_timeout > clock_timestamp()
      FOR SHARE OF s
    ), family AS (
      INSERT INTO authkit.oauth_token_families (
        id, client_id, user_id, session_id, created_at, expires_at)
      SELECT $1, $2, $3, $4, clock.at, clock.at + $5 FROM clock
      WHERE ($3 IS NULL OR EXISTS (SELECT 1 FROM owner))
        AND ($4 IS NULL OR EXISTS (SELECT 1 FROM session))
      RETURNING id, client_id, user_id, expires_at
    ), issued AS (
      INSERT INTO authkit.oauth_issued_tokens (
        id, token_digest, kind, family_id, generation, client_id, user_id, scopes,
        created_at, expires_at, family_expires_at, proof_thumbprint, derivation_key_id,
        derivation_salt)
      SELECT k.id, k.token_digest, k.kind, f.id, 0, f.client_id, f.user_id, $6,
             clock.at, least(clock.at + k.lifetime, f.expires_at), f.expires_at, $13,
             k.derivation_key_id, k.derivation_salt
      FROM family AS f, clock, (VALUES
        ('refresh', $7::uuid, $8::bytea, $11::interval, $14::text, $15::bytea),
        ('access', $9::uuid, $10::bytea, $12::interval, NULL, NULL)
      ) AS k (kind, id, token_digest, lifetime, derivation_key_id, derivation_salt)
      RETURNING kind, expires_at
    )
    SELECT max(expires_at) FILTER (WHERE kind = 'access') AS access_expires_at,
           max(expires_at) FILTER (WHERE kind = 'refresh') AS refresh_expires_at
    FROM issued
    """,
    parameters=(
        "family_id",
        "client_id",
        "user_id",
        "session_id",
        "family_lifetime",
        "scopes",
        "refresh_id",
        "refresh_digest",
        "access_id",
        "access_digest",
        "refresh_lifetime",
        "access_lifetime",
        "proof_thumbprint",
        "derivation_key_id",
        "derivation_salt",
    ),
    types=(
        "uuid",
        "text",
        "uuid",
        "uuid",
        "interval",
        "text[]",
        "uuid",
        "bytea",
        "uuid",
        "bytea",
        "interval",
        "interval",
        "bytea",
        "text",
        "bytea",
    ),
    row=Issue,
    intent=Intent.WRITE,
    idempotent=False,
)

INTROSPECT: Final = Operation(
    name="oauth_tokens.introspect",
    sql="""
    SELECT t.id, t.kind, t.family_id, t.generation, t.client_id, t.user_id,
           f.session_id, t.scopes, t.created_at, t.expires_at, t.proof_thumbprint,
           t.first_used_at
    FROM authkit.oauth_issued_tokens AS t
    JOIN authkit.oauth_token_families AS f ON f.id = t.family_id
    WHERE t.token_digest = $1
      AND t.revoked_at IS NULL
      AND t.rotated_at IS NULL
      AND t.expires_at > clock_timestamp()
      AND f.revoked_at IS NULL
      AND f.expires_at > clock_timestamp()
    """,
    parameters=("token_digest",),
    types=("bytea",),
    row=TokenInfo,
    intent=Intent.READ,
    idempotent=True,
)

MARK_USED: Final[Operation[None]] = Operation(
    name="oauth_tokens.mark_used",
    sql="""
    UPDATE authkit.oauth_issued_tokens
    SET first_used_at = clock_timestamp()
    WHERE id = $1 AND first_used_at IS NULL
    """,
    parameters=("id",),
    types=("uuid",),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

REVOKE_FAMILY: Final = Operation(
    name="oauth_tokens.revoke_family",
    sql="""
    UPDATE authkit.oauth_token_families
    SET revoked_at = clock_timestamp(), revoke_reason = $2
    WHERE id = $1 AND revoked_at IS NULL
    RETURNING id
    """,
    parameters=("family_id", "reason"),
    types=("uuid", "text"),
    row=LockedFamily,
    intent=Intent.WRITE,
    idempotent=True,
)

# Of no session, too: a grant to an application that works while its user is away. Run
# behind a lock of the user, it also sees the families that were being begun.
# Rows are locked in one order, so that two of these never deadlock.
REVOKE_USER: Final = Operation(
    name="oauth_tokens.revoke_user",
    sql="""
    WITH chosen AS MATERIALIZED (
      SELECT id FROM authkit.oauth_token_families
      WHERE user_id = $1 AND revoked_at IS NULL
      ORDER BY id
      FOR NO KEY UPDATE
    )
    UPDATE authkit.oauth_token_families AS f
    SET revoked_at = clock_timestamp(), revoke_reason = $2
    FROM chosen AS c
    WHERE f.id = c.id
    RETURNING f.id
    """,
    parameters=("user_id", "reason"),
    types=("uuid", "text"),
    row=LockedFamily,
    intent=Intent.WRITE,
    idempotent=True,
)

REVOKE_BY_TOKEN: Final = Operation(
    name="oauth_tokens.revoke",
    sql="""
    UPDATE authkit.oauth_token_families AS f
    SET revoked_at = clock_timestamp(), revoke_reason = $3
    FROM authkit.oauth_issued_tokens AS t
    WHERE t.token_digest = $1 AND t.client_id = $2
      AND f.id = t.family_id AND f.revoked_at IS NULL
    RETURNING f.id
    """,
    parameters=("token_digest", "client_id", "reason"),
    types=("bytea", "text", "text"),
    row=LockedFamily,
    intent=Intent.WRITE,
    idempotent=True,
)

# A family takes its tokens with it.
PURGE: Final = purge("oauth_tokens.purge", "oauth_token_families", "id")

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    ISSUE,
    INTROSPECT,
    MARK_USED,
    REVOKE_FAMILY,
    REVOKE_USER,
    REVOKE_BY_TOKEN,
    PURGE,
)
