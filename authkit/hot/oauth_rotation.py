"""Rotating refresh tokens: a compare and swap behind the lock on the family.

A refresh token presented again within its grace, by the same client and key and before
its successor was used, gets the same answer once more: a client whose answer was lost
on the way is no thief. Presented again in any other way it revokes the family in the
same transaction (RFC 9700 section 4.14.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from authkit.hot.oauth_codes import LockedFamily
from authkit.hot.operation import AnyOperation, Intent, Operation


@dataclass(slots=True)
class Derivation:
    """What a refresh token's successor is derived from, beside the token and a key."""

    family_id: UUID
    generation: int
    derivation_key_id: str | None
    derivation_salt: bytes | None = field(repr=False)


@dataclass(slots=True)
class Rotation:
    """What became of a presentation: one of the first three is true, or none is."""

    rotated: bool
    repeated: bool
    reused: bool
    family_id: UUID
    user_id: UUID | None
    session_id: UUID | None
    scopes: list[str]
    access_expires_at: datetime | None
    refresh_expires_at: datetime | None


DERIVATION: Final = Operation(
    name="oauth_tokens.derivation",
    sql="""
    SELECT family_id, generation, derivation_key_id, derivation_salt
    FROM authkit.oauth_issued_tokens
    WHERE token_digest = $1 AND kind = 'refresh'
    """,
    parameters=("token_digest",),
    types=("bytea",),
    row=Derivation,
    intent=Intent.READ,
    idempotent=True,
)

LOCK_FAMILY: Final = Operation(
    name="oauth_tokens.lock_family",
    sql="""
    SELECT id FROM authkit.oauth_token_families WHERE id = $1 FOR NO KEY UPDATE
    """,
    parameters=("family_id",),
    types=("uuid",),
    row=LockedFamily,
    intent=Intent.WRITE,
    idempotent=True,
)

ROTATE: Final = Operation(
    name="oauth_tokens.rotate",
    sql="""
    WITH clock AS MATERIALIZED (
      SELECT clock_timestamp() AS at
    ), presented AS MATERIALIZED (
      SELECT t.id, t.family_id, t.generation, t.client_id, t.user_id, f.session_id,
             t.scopes, t.family_expires_at, t.rotated_at,
             t.client_id = $2 AND t.proof_thumbprint IS NOT DISTINCT FROM $3 AS same,
             t.revoked_at IS NULL AND t.expires_at > clock.at
               AND f.revoked_at IS NULL AND f.expires_at > clock.at
               AND NOT EXISTS (
                 SELECT 1 FROM authkit.users AS u
                 WHERE u.id = f.user_id AND u.disabled_at IS NOT NULL)
               AND NOT EXISTS (
                 SELECT 1 FROM authkit.active_sessions AS a
                 WHERE a.id = f.session_id AND a.revoked_at IS NOT NULL) AS alive,
             t.rotated_at + $10::interval > clock.at AND NOT EXISTS (
               SELECT 1 FROM authkit.oauth_issued_tokens AS s
               WHERE s.family_id = t.family_id AND s.generation = t.generation + 1
                 AND (s.first_used_at IS NOT NULL OR s.rotated_at IS NOT NULL)
             ) AS in_grace
      FROM authkit.oauth_issued_tokens AS t
      JOIN authkit.oauth_token_families AS f ON f.id = t.family_id
      CROSS JOIN clock
      WHERE t.token_digest = $1 AND t.kind = 'refresh'
    ), verdict AS MATERIALIZED (
      SELECT alive AND same AND rotated_at IS NULL AS rotated,
             alive AND same AND rotated_at IS NOT NULL AND in_grace AS repeated,
             rotated_at IS NOT NULL AND NOT (alive AND same AND in_grace) AS reused
      FROM presented
    ), marked AS (
      UPDATE authkit.oauth_issued_tokens AS t
      SET rotated_at = clock.at, first_used_at = coalesce(t.first_used_at, clock.at)
      FROM presented AS p, verdict AS v, clock
      WHERE t.id = p.id AND v.rotated AND t.rotated_at IS NULL
    ), revoked AS (
      UPDATE authkit.oauth_token_families AS f
      SET revoked_at = clock.at, revoke_reason = 'token-reused'
      FROM presented AS p, verdict AS v, clock
      WHERE f.id = p.family_id AND v.reused AND f.revoked_at IS NULL
    ), issued AS (
      INSERT INTO authkit.oauth_issued_tokens (
        id, token_digest, kind, family_id, generation, client_id, user_id, scopes,
        created_at, expires_at, family_expires_at, proof_thumbprint, derivation_key_id,
        derivation_salt)
      SELECT k.id, k.token_digest, k.kind, p.family_id, p.generation + 1, p.client_id,
             p.user_id, p.scopes, clock.at,
             least(clock.at + k.lifetime, p.family_expires_at), p.family_expires_at,
             $3, k.derivation_key_id, k.derivation_salt
      FROM presented AS p, verdict AS v, clock, (VALUES
        ('refresh', $4::uuid, $5::bytea, $8::interval, $11::text, $12::bytea),
        ('access', $6::uuid, $7::bytea, $9::interval, NULL, NULL)
      ) AS k (kind, id, token_digest, lifetime, derivation_key_id, derivation_salt)
      WHERE v.rotated
      RETURNING kind, expires_at
    ), answered AS (
      SELECT kind, expires_at FROM issued
      UNION ALL
      SELECT s.kind, s.expires_at
      FROM presented AS p, verdict AS v, authkit.oauth_issued_tokens AS s
      WHERE v.repeated AND s.family_id = p.family_id
        AND s.generation = p.generation + 1
    )
    SELECT v.rotated, v.repeated, v.reused, p.family_id, p.user_id, p.session_id,
           p.scopes,
           (SELECT expires_at FROM answered WHERE kind = 'access') AS access_expires_at,
           (SELECT expires_at FROM answered
            WHERE kind = 'refresh') AS refresh_expires_at
    FROM presented AS p, verdict AS v
    """,
    parameters=(
        "token_digest",
        "client_id",
        "proof_thumbprint",
        "refresh_id",
        "refresh_digest",
        "access_id",
        "access_digest",
        "refresh_lifetime",
        "access_lifetime",
        "grace",
        "derivation_key_id",
        "derivation_salt",
    ),
    types=(
        "bytea",
        "text",
        "bytea",
        "uuid",
        "bytea",
        "uuid",
        "bytea",
        "interval",
        "interval",
        "interval",
        "text",
        "bytea",
    ),
    row=Rotation,
    intent=Intent.WRITE,
    idempotent=False,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (DERIVATION, LOCK_FAMILY, ROTATE)
