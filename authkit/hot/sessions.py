"""Sessions: the rows, and the statements of one session's life beside them.

A session is live while it is not revoked, its absolute expiry lies ahead and it was
used within its idle timeout, all by the server's clock; at the very instant of a limit
it is over. The clock is clock_timestamp(): now() stands still inside a transaction and
would keep a dead session alive in a long one. The token is in no table and no row: SQL
sees its SHA-256 digest only.

The record in `sessions` is written in the same statement as create, rotate and revoke;
touching a session never writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from authkit.hot.operation import AnyOperation, Batch, Durability, Intent, Operation


@dataclass(slots=True)
class Session:
    """A live session, as its token's bearer is answered."""

    id: UUID
    user_id: UUID
    assurance_level: int
    methods: list[str]
    risk_score: float | None
    authenticated_at: datetime
    last_activity: datetime
    expires_at: datetime
    idle_s: float


@dataclass(slots=True)
class Creation:
    """What became of a creation: `id` is None where it was refused."""

    user_known: bool
    id: UUID | None
    expires_at: datetime | None
    evicted: list[UUID]


@dataclass(slots=True)
class Locked:
    """The user whose row is locked until the end of the transaction."""

    id: UUID


@dataclass(slots=True)
class Extension:
    """When a session ends if it is not used: never after its absolute expiry."""

    idle_until: datetime
    expires_at: datetime


# Locks the user: creations under a cap queue here, and the insertion that follows
# sees with a snapshot of its own every session that the ones before it made.
LOCK_USER: Final = Operation(
    name="sessions.lock_user",
    sql="""
    SELECT id FROM authkit.users
    WHERE id = $1 AND disabled_at IS NULL
    FOR NO KEY UPDATE
    """,
    parameters=("user_id",),
    types=("uuid",),
    row=Locked,
    intent=Intent.WRITE,
    idempotent=True,
)

# The share lock on the user lets many log in at once, and makes whoever disables the
# user wait for them, so that no session slips past the revocation that follows.
CREATE: Final = Operation(
    name="sessions.create",
    sql="""
    WITH owner AS MATERIALIZED (
      SELECT id FROM authkit.users
      WHERE id = $3 AND disabled_at IS NULL
      FOR SHARE
    ), live AS MATERIALIZED (
      SELECT id, row_number() OVER (ORDER BY created_at DESC, id DESC) AS place
      FROM authkit.active_sessions
      WHERE $14::int4 IS NOT NULL AND user_id = $3
        AND revoked_at IS NULL
        AND expires_at > clock_timestamp()
        AND last_activity + idle_timeout > clock_timestamp()
    ), evicted AS (
      UPDATE authkit.active_sessions
      SET revoked_at = clock_timestamp(), revoke_reason = 'evicted'
      WHERE $15 AND revoked_at IS NULL
        AND id IN (SELECT id FROM live WHERE place >= $14)
        AND EXISTS (SELECT 1 FROM owner)
      RETURNING id, revoked_at, refresh_family_id
    ), evicted_family AS (
      UPDATE authkit.oauth_token_families AS f
      SET revoked_at = clock_timestamp(), revoke_reason = 'evicted'
      WHERE f.revoked_at IS NULL AND f.id IN (
        SELECT refresh_family_id FROM evicted
        UNION ALL
        SELECT own.id FROM authkit.oauth_token_families AS own
        JOIN evicted ON own.session_id = evicted.id
        WHERE own.revoked_at IS NULL)
    ), evicted_record AS (
      UPDATE authkit.sessions AS s
      SET ended_at = e.revoked_at, end_reason = 'evicted'
      FROM evicted AS e
      WHERE s.id = e.id AND s.ended_at IS NULL
    ), started AS (
      INSERT INTO authkit.active_sessions (
        id, token_digest, user_id, assurance_level, methods, ip, country,
        device_fingerprint, user_agent, risk_score, authenticated_at, created_at,
        last_activity, idle_timeout, expires_at)
      SELECT $1, $2, owner.id, $4, $5, $6, $7, $8, $9, $10,
             t.at, t.at, t.at, $11, t.at + $12
      FROM owner, (SELECT clock_timestamp() AS at) AS t
      WHERE $14 IS NULL OR $15 OR (SELECT count(*) FROM live) < $14
      RETURNING id, user_id, created_at, expires_at
    ), record AS (
      INSERT INTO authkit.sessions (
        id, user_id, assurance_level, methods, device_info, ip, user_agent,
        risk_score, created_at, last_activity_at, expires_at)
      SELECT id, user_id, $4, $5, $13, $6, $9, $10, created_at, created_at, expires_at
      FROM started
    )
    SELECT EXISTS (SELECT 1 FROM owner) AS user_known, started.id, started.expires_at,
           ARRAY(SELECT id FROM evicted) AS evicted
    FROM (SELECT) AS one LEFT JOIN started ON true
    """,
    parameters=(
        "id",
        "token_digest",
        "user_id",
        "assurance_level",
        "methods",
        "ip",
        "country",
        "device_fingerprint",
        "user_agent",
        "risk_score",
        "idle_timeout",
        "lifetime",
        "device_info",
        "cap",
        "evict",
    ),
    types=(
        "uuid",
        "bytea",
        "uuid",
        "int2",
        "text[]",
        "inet",
        "text",
        "bytea",
        "text",
        "float8",
        "interval",
        "interval",
        "jsonb",
        "int4",
        "bool",
    ),
    row=Creation,
    intent=Intent.WRITE,
    idempotent=False,
)

VALIDATE: Final = Operation(
    name="sessions.validate",
    sql="""
    SELECT id, user_id, assurance_level, methods, risk_score, authenticated_at,
           last_activity, expires_at,
           extract(epoch FROM clock_timestamp() - last_activity)::float8 AS idle_s
    FROM authkit.active_sessions
    WHERE token_digest = $1
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
    """,
    parameters=("token_digest",),
    types=("bytea",),
    row=Session,
    intent=Intent.READ,
    idempotent=True,
    batch=Batch.ARRAY,
)

TOUCH_WITHIN: Final[Operation[None]] = Operation(
    name="sessions.touch_within",
    sql="""
    UPDATE authkit.active_sessions
    SET last_activity = clock_timestamp()
    WHERE id = $1
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
      AND last_activity <= clock_timestamp() - $2::interval
    """,
    parameters=("id", "every"),
    types=("uuid", "interval"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

# Losing the last moments of use makes a session look idle for a moment longer: no
# reason to wait for the disk, or for a replica.
TOUCH: Final[Operation[None]] = Operation(
    name="sessions.touch",
    sql="""
    UPDATE authkit.active_sessions
    SET last_activity = clock_timestamp()
    FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed
    WHERE id = $1
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
      AND last_activity <= clock_timestamp() - $2::interval
    """,
    parameters=("id", "every"),
    types=("uuid", "interval"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
    durability=Durability.RELAXED,
    batch=Batch.ARRAY,
    within=TOUCH_WITHIN,
)

# The new token takes the old one's place in one guarded statement: of many callers
# with the same old token one wins, and to the others it is a token that never was.
ROTATE: Final = Operation(
    name="sessions.rotate",
    sql="""
    WITH rotated AS (
      UPDATE authkit.active_sessions
      SET token_digest = $2,
          rotated_at = clock_timestamp(),
          last_activity = clock_timestamp(),
          authenticated_at =
            CASE WHEN $3 THEN clock_timestamp() ELSE authenticated_at END,
          assurance_level = CASE WHEN $3 THEN coalesce($4, assurance_level)
            ELSE least($4, assurance_level) END,
          methods = coalesce($5, methods),
          risk_score = coalesce($6, risk_score)
      WHERE token_digest = $1
        AND revoked_at IS NULL
        AND expires_at > clock_timestamp()
        AND last_activity + idle_timeout > clock_timestamp()
      RETURNING id, user_id, assurance_level, methods, risk_score, authenticated_at,
                last_activity, expires_at, 0::float8 AS idle_s
    ), record AS (
      UPDATE authkit.sessions AS s
      SET rotated_at = r.last_activity, last_activity_at = r.last_activity,
          assurance_level = r.assurance_level, methods = r.methods,
          risk_score = r.risk_score
      FROM rotated AS r
      WHERE s.id = r.id
    )
    SELECT id, user_id, assurance_level, methods, risk_score, authenticated_at,
           last_activity, expires_at, idle_s
    FROM rotated
    """,
    parameters=(
        "token_digest",
        "new_token_digest",
        "authenticated",
        "assurance_level",
        "methods",
        "risk_score",
    ),
    types=("bytea", "bytea", "bool", "int2", "text[]", "float8"),
    row=Session,
    intent=Intent.WRITE,
    idempotent=False,
)

EXTEND: Final = Operation(
    name="sessions.extend",
    sql="""
    UPDATE authkit.active_sessions
    SET last_activity = clock_timestamp(), idle_timeout = $2
    WHERE id = $1
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
    RETURNING least(last_activity + idle_timeout, expires_at) AS idle_until, expires_at
    """,
    parameters=("id", "idle_timeout"),
    types=("uuid", "interval"),
    row=Extension,
    intent=Intent.WRITE,
    idempotent=True,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    LOCK_USER,
    CREATE,
    VALIDATE,
    TOUCH,
    TOUCH_WITHIN,
    ROTATE,
    EXTEND,
)
