"""Attempts to authenticate: the row, and the statements beside it.

A row is inserted settled, or pending and settled once; whatever is never settled counts
as failed, so that a client cannot escape the count by going away. Names arrive as keyed
hashes; there is no column for a request body or an e-mail address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from uuid import UUID

from authkit.hot.operation import (
    AnyOperation,
    Batch,
    Intent,
    Operation,
)


@dataclass(slots=True)
class AttemptKey:
    """Where an attempt stands: the partition's time, and its id."""

    occurred_at: datetime
    id: UUID


@dataclass(slots=True)
class Attempt:
    """One attempt as it is listed."""

    occurred_at: datetime
    id: UUID
    subject_hash: bytes | None
    user_id: UUID | None
    ip: IPv4Address | IPv6Address | None
    asn: int | None
    country: str | None
    user_agent: str | None
    device_fingerprint: bytes | None
    session_id: UUID | None
    client_id: str | None
    stage: str
    method: str
    outcome: str
    failure_reason: str | None
    settled_at: datetime | None
    risk_score: float | None
    risk_model: str | None


@dataclass(slots=True)
class Failures:
    """Failed attempts within a window, each key counted for itself."""

    subject: int
    user: int
    ip: int
    device: int


@dataclass(slots=True)
class UserLock:
    """Until when a user is locked; None: not at all."""

    id: UUID
    locked_until: datetime | None


RECORD: Final = Operation(
    name="attempts.record",
    sql="""
    INSERT INTO authkit.auth_attempts (
      occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
      device_fingerprint, session_id, client_id, stage, method, outcome,
      failure_reason, risk_score, risk_model, risk_model_version, risk_features)
    VALUES (coalesce($1, clock_timestamp()), $2, $3, $4, $5, $6, $7, $8,
            $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
    RETURNING occurred_at, id
    """,
    parameters=(
        "occurred_at",
        "id",
        "subject_hash",
        "user_id",
        "ip",
        "asn",
        "country",
        "user_agent",
        "device_fingerprint",
        "session_id",
        "client_id",
        "stage",
        "method",
        "outcome",
        "failure_reason",
        "risk_score",
        "risk_model",
        "risk_model_version",
        "risk_features",
    ),
    types=(
        "timestamptz",
        "uuid",
        "bytea",
        "uuid",
        "inet",
        "int8",
        "text",
        "text",
        "bytea",
        "uuid",
        "text",
        "text",
        "text",
        "text",
        "text",
        "float8",
        "text",
        "text",
        "jsonb",
    ),
    row=AttemptKey,
    intent=Intent.WRITE,
    idempotent=False,
    batch=Batch.ARRAY,
)

# Guarded by the pending state: of two callers who settle the same attempt one does.
FAIL: Final[Operation[None]] = Operation(
    name="attempts.fail",
    sql="""
    UPDATE authkit.auth_attempts
    SET outcome = 'failed', failure_reason = $3, settled_at = clock_timestamp(),
        user_id = coalesce($4, user_id)
    WHERE occurred_at = $1 AND id = $2 AND outcome = 'pending'
    """,
    parameters=("occurred_at", "id", "failure_reason", "user_id"),
    types=("timestamptz", "uuid", "text", "uuid"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

RECENT_BY_SUBJECT: Final = Operation(
    name="attempts.recent_by_subject",
    sql="""
    SELECT occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
           device_fingerprint, session_id, client_id, stage, method, outcome,
           failure_reason, settled_at, risk_score, risk_model
    FROM authkit.auth_attempts
    WHERE subject_hash = $1 AND occurred_at >= $2
      AND ($3::timestamptz IS NULL OR (occurred_at, id) < ($3, $4::uuid))
    ORDER BY occurred_at DESC, id DESC
    LIMIT $5
    """,
    parameters=("subject_hash", "since", "before", "before_id", "limit"),
    types=("bytea", "timestamptz", "timestamptz", "uuid", "int8"),
    row=Attempt,
    intent=Intent.READ,
    idempotent=True,
)

RECENT_BY_USER: Final = Operation(
    name="attempts.recent_by_user",
    sql="""
    SELECT occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
           device_fingerprint, session_id, client_id, stage, method, outcome,
           failure_reason, settled_at, risk_score, risk_model
    FROM authkit.auth_attempts
    WHERE user_id = $1 AND occurred_at >= $2
      AND ($3::timestamptz IS NULL OR (occurred_at, id) < ($3, $4::uuid))
    ORDER BY occurred_at DESC, id DESC
    LIMIT $5
    """,
    parameters=("user_id", "since", "before", "before_id", "limit"),
    types=("uuid", "timestamptz", "timestamptz", "uuid", "int8"),
    row=Attempt,
    intent=Intent.READ,
    idempotent=True,
)

RECENT_BY_IP: Final = Operation(
    name="attempts.recent_by_ip",
    sql="""
    SELECT occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
           device_fingerprint, session_id, client_id, stage, method, outcome,
           failure_reason, settled_at, risk_score, risk_model
    FROM authkit.auth_attempts
    WHERE ip = $1 AND occurred_at >= $2
      AND ($3::timestamptz IS NULL OR (occurred_at, id) < ($3, $4::uuid))
    ORDER BY occurred_at DESC, id DESC
    LIMIT $5
    """,
    parameters=("ip", "since", "before", "before_id", "limit"),
    types=("inet", "timestamptz", "timestamptz", "uuid", "int8"),
    row=Attempt,
    intent=Intent.READ,
    idempotent=True,
)

RECENT_BY_DEVICE: Final = Operation(
    name="attempts.recent_by_device",
    sql="""
    SELECT occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
           device_fingerprint, session_id, client_id, stage, method, outcome,
           failure_reason, settled_at, risk_score, risk_model
    FROM authkit.auth_attempts
    WHERE device_fingerprint = $1 AND occurred_at >= $2
      AND ($3::timestamptz IS NULL OR (occurred_at, id) < ($3, $4::uuid))
    ORDER BY occurred_at DESC, id DESC
    LIMIT $5
    """,
    parameters=("device_fingerprint", "since", "before", "before_id", "limit"),
    types=("bytea", "timestamptz", "timestamptz", "uuid", "int8"),
    row=Attempt,
    intent=Intent.READ,
    idempotent=True,
)

# For people and reports. What decides whether an attempt may go on is the counter that
# reserving moves, never this count: parallel guesses would all see the same number.
FAILURES: Final = Operation(
    name="attempts.failures",
    sql="""
    SELECT
      (SELECT count(*) FROM authkit.auth_attempts
       WHERE subject_hash = $1 AND occurred_at >= $5
         AND outcome IN ('failed', 'pending', 'abandoned')) AS subject,
      (SELECT count(*) FROM authkit.auth_attempts
       WHERE user_id = $2 AND occurred_at >= $5
         AND outcome IN ('failed', 'pending', 'abandoned')) AS user,
      (SELECT count(*) FROM authkit.auth_attempts
       WHERE ip = $3 AND occurred_at >= $5
         AND outcome IN ('failed', 'pending', 'abandoned')) AS ip,
      (SELECT count(*) FROM authkit.auth_attempts
       WHERE device_fingerprint = $4 AND occurred_at >= $5
         AND outcome IN ('failed', 'pending', 'abandoned')) AS device
    """,
    parameters=("subject_hash", "user_id", "ip", "device_fingerprint", "since"),
    types=("bytea", "uuid", "inet", "bytea", "timestamptz"),
    row=Failures,
    intent=Intent.READ,
    idempotent=True,
)

LOCK: Final = Operation(
    name="attempts.lock",
    sql="""
    WITH cached AS (
      UPDATE authkit.user_auth_cache
      SET locked_until = clock_timestamp() + $2::interval
      WHERE user_id = $1
    )
    UPDATE authkit.users
    SET locked_until = clock_timestamp() + $2::interval
    WHERE id = $1
    RETURNING id, locked_until
    """,
    parameters=("user_id", "duration"),
    types=("uuid", "interval"),
    row=UserLock,
    intent=Intent.WRITE,
    idempotent=True,
)

UNLOCK: Final = Operation(
    name="attempts.unlock",
    sql="""
    WITH cached AS (
      UPDATE authkit.user_auth_cache
      SET locked_until = NULL, failed_attempts = 0
      WHERE user_id = $1
    )
    UPDATE authkit.users
    SET locked_until = NULL, failed_attempts = 0
    WHERE id = $1
    RETURNING id, locked_until
    """,
    parameters=("user_id",),
    types=("uuid",),
    row=UserLock,
    intent=Intent.WRITE,
    idempotent=True,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    RECORD,
    FAIL,
    RECENT_BY_SUBJECT,
    RECENT_BY_USER,
    RECENT_BY_IP,
    RECENT_BY_DEVICE,
    FAILURES,
    LOCK,
    UNLOCK,
)
