"""Authorisation codes, redeemed once, and the families that their tokens belong to.

The family's row is the referee. It is made with the code; redeeming, rotating and
revoking lock it first, so that "who was first" has one answer and nothing is issued
into a family that was revoked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from authkit.hot.expiring import purge
from authkit.hot.operation import AnyOperation, Intent, Operation


@dataclass(slots=True)
class CreatedCode:
    """When a code, and the family that it may begin, end."""

    expires_at: datetime
    family_expires_at: datetime


@dataclass(slots=True)
class LockedFamily:
    """The family whose row is locked until the end of the transaction."""

    id: UUID


@dataclass(slots=True)
class Redemption:
    """What became of a code: redeemed, or presented again, or neither."""

    redeemed: bool
    replayed: bool
    family_id: UUID
    user_id: UUID
    session_id: UUID | None
    scopes: list[str]
    nonce: str | None
    access_expires_at: datetime | None
    refresh_expires_at: datetime | None


# The share locks make whoever disables the user or ends the session wait, so that no
# family slips past the revocation that follows; or this waits for them and makes none.
# The user's comes first, as it does for whoever ends all sessions.
CREATE: Final = Operation(
    name="oauth_codes.create",
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
      SELECT $5, $2, owner.id, $4, clock.at, clock.at + $11 FROM clock, owner
      WHERE $4 IS NULL OR EXISTS (SELECT 1 FROM session)
      RETURNING id, expires_at
    ), code AS (
      INSERT INTO authkit.oauth_auth_codes (
        code_digest, client_id, user_id, session_id, family_id, redirect_uri, scopes,
        code_challenge, nonce, created_at, expires_at)
      SELECT $1, $2, $3, $4, family.id, $6, $7, $8, $9, clock.at, clock.at + $10
      FROM clock, family
      RETURNING expires_at
    )
    SELECT code.expires_at, family.expires_at AS family_expires_at FROM code, family
    """,
    parameters=(
        "code_digest",
        "client_id",
        "user_id",
        "session_id",
        "family_id",
        "redirect_uri",
        "scopes",
        "code_challenge",
        "nonce",
        "lifetime",
        "family_lifetime",
    ),
    types=(
        "bytea",
        "text",
        "uuid",
        "uuid",
        "uuid",
        "text",
        "text[]",
        "bytea",
        "text",
        "interval",
        "interval",
    ),
    row=CreatedCode,
    intent=Intent.WRITE,
    idempotent=False,
)

LOCK_BY_CODE: Final = Operation(
    name="oauth_codes.lock_family",
    sql="""
    SELECT f.id
    FROM authkit.oauth_auth_codes AS c
    JOIN authkit.oauth_token_families AS f ON f.id = c.family_id
    WHERE c.code_digest = $1
    FOR NO KEY UPDATE OF f
    """,
    parameters=("code_digest",),
    types=("bytea",),
    row=LockedFamily,
    intent=Intent.WRITE,
    idempotent=True,
)

# Runs behind the lock, and so knows whether the code was consumed. Whoever presents a
# consumed code, with whatever beside it, revokes the family (RFC 6749 section 4.1.2);
# a wrong verifier burns nothing. Users and sessions are looked at as well: who ended
# them by other means than ours did not revoke the family.
REDEEM: Final = Operation(
    name="oauth_codes.redeem",
    sql="""
    WITH clock AS MATERIALIZED (
      SELECT clock_timestamp() AS at
    ), presented AS MATERIALIZED (
      SELECT c.code_digest, c.family_id, c.client_id, c.user_id, c.session_id, c.scopes,
             c.nonce, c.consumed_at IS NOT NULL AS replayed,
             f.expires_at AS family_expires_at,
             c.consumed_at IS NULL AND c.client_id = $2 AND c.redirect_uri = $3
               AND c.code_challenge = $4 AND c.expires_at > clock.at
               AND f.revoked_at IS NULL AND f.expires_at > clock.at
               AND NOT EXISTS (
                 SELECT 1 FROM authkit.users AS u
                 WHERE u.id = f.user_id AND u.disabled_at IS NOT NULL)
               AND NOT EXISTS (
                 SELECT 1 FROM authkit.active_sessions AS s
                 WHERE s.id = f.session_id AND s.revoked_at IS NOT NULL) AS good
      FROM authkit.oauth_auth_codes AS c
      JOIN authkit.oauth_token_families AS f ON f.id = c.family_id
      CROSS JOIN clock
      WHERE c.code_digest = $1
    ), consumed AS (
      UPDATE authkit.oauth_auth_codes AS c
      SET consumed_at = clock.at
      FROM presented AS p, clock
      WHERE c.code_digest = p.code_digest AND p.good AND c.consumed_at IS NULL
      RETURNING c.family_id
    ), revoked AS (
      UPDATE authkit.oauth_token_families AS f
      SET revoked_at = clock.at, revoke_reason = 'code-replayed'
      FROM presented AS p, clock
      WHERE f.id = p.family_id AND p.replayed AND f.revoked_at IS NULL
    ), issued AS (
      INSERT INTO authkit.oauth_issued_tokens (
        id, token_digest, kind, family_id, generation, client_id, user_id, scopes,
        created_at, expires_at, family_expires_at, proof_thumbprint, derivation_key_id,
        derivation_salt)
      SELECT k.id, k.token_digest, k.kind, p.family_id, 0, p.client_id, p.user_id,
             p.scopes, clock.at, least(clock.at + k.lifetime, p.family_expires_at),
             p.family_expires_at, $11, k.derivation_key_id, k.derivation_salt
      FROM consumed
      JOIN presented AS p ON p.family_id = consumed.family_id
      CROSS JOIN clock
      CROSS JOIN (VALUES
        ('refresh', $5::uuid, $6::bytea, $9::interval, $12::text, $13::bytea),
        ('access', $7::uuid, $8::bytea, $10::interval, NULL, NULL)
      ) AS k (kind, id, token_digest, lifetime, derivation_key_id, derivation_salt)
      RETURNING kind, expires_at
    )
    SELECT EXISTS (SELECT 1 FROM consumed) AS redeemed, p.replayed, p.family_id,
           p.user_id, p.session_id, p.scopes, p.nonce,
           (SELECT expires_at FROM issued WHERE kind = 'access') AS access_expires_at,
           (SELECT expires_at FROM issued WHERE kind = 'refresh') AS refresh_expires_at
    FROM presented AS p
    """,
    parameters=(
        "code_digest",
        "client_id",
        "redirect_uri",
        "code_challenge",
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
        "bytea",
        "text",
        "text",
        "bytea",
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
    row=Redemption,
    intent=Intent.WRITE,
    idempotent=False,
)

# Consumed codes are kept for a while after they expired, so that a replay is seen.
PURGE: Final = purge("oauth_codes.purge", "oauth_auth_codes", "code_digest")

OPERATIONS: Final[tuple[AnyOperation, ...]] = (CREATE, LOCK_BY_CODE, REDEEM, PURGE)
