"""How a reserved attempt ends: settled with its score, learned from or not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from authkit.hot import Intent, Operation
from authkit.hot.operation import AnyOperation


@dataclass(slots=True)
class Settled:
    """What an attempt was settled as."""

    outcome: str


@dataclass(slots=True)
class Claimed:
    """Whether the attempt is still pending, and its user may come in."""

    pending: bool
    allowed: bool


@dataclass(slots=True)
class FoundUser:
    """A user by e-mail address."""

    id: UUID


@dataclass(slots=True)
class Kept:
    """A score as it was kept beside its attempt."""

    occurred_at: datetime
    id: UUID
    user_id: UUID | None
    outcome: str
    risk_score: float | None
    risk_model: str | None
    risk_model_version: str | None
    risk_features: dict[str, Any] | None


@dataclass(slots=True)
class Observed:
    """What the server saw of an attempt."""

    user_id: UUID | None
    ip: str | None
    asn: int | None
    country: str | None
    user_agent: str | None


FIND_USER: Final = Operation(
    name="logins.find_user",
    sql="SELECT id FROM authkit.users WHERE email = $1 AND erased_at IS NULL",
    parameters=("email",),
    types=("text",),
    row=FoundUser,
    intent=Intent.READ,
    idempotent=True,
)

# Of two who settle one attempt one finds it settled. The share lock makes whoever locks
# or disables the user, or changes the password, wait for this login, so that none slips
# past. The hash comes as its digest: a server's log holds the parameters of what waits.
CLAIM: Final = Operation(
    name="logins.claim",
    sql="""
    WITH mine AS MATERIALIZED (
      SELECT id FROM authkit.auth_attempts
      WHERE occurred_at = $1 AND id = $2 AND outcome = 'pending'
      FOR UPDATE
    ), owner AS MATERIALIZED (
      SELECT id FROM authkit.users
      WHERE id = $3 AND disabled_at IS NULL
        AND (locked_until IS NULL OR locked_until <= clock_timestamp())
        AND sha256(convert_to(password_hash, 'UTF8')) IS NOT DISTINCT FROM $4
        AND mfa_enabled = $5
      FOR SHARE
    )
    SELECT EXISTS (SELECT FROM mine) AS pending, EXISTS (SELECT FROM owner) AS allowed
    """,
    parameters=("occurred_at", "id", "user_id", "password_digest", "mfa_enabled"),
    types=("timestamptz", "uuid", "uuid", "bytea", "bool"),
    row=Claimed,
    intent=Intent.WRITE,
    idempotent=True,
)

# Only a success is forgiven its counters.
SETTLE: Final = Operation(
    name="logins.settle",
    sql="""
    WITH settled AS (
      UPDATE authkit.auth_attempts
      SET outcome = $3, failure_reason = $4, user_id = coalesce($5, user_id),
          session_id = $6, settled_at = clock_timestamp(),
          risk_score = $7, risk_model = $8, risk_model_version = $9, risk_features = $10
      WHERE occurred_at = $1 AND id = $2 AND outcome = 'pending'
      RETURNING outcome
    ), chosen AS MATERIALIZED (
      SELECT r.identifier FROM authkit.rate_limit_tracking AS r
      WHERE r.resource = 'attempt' AND r.identifier = ANY ($11::text[])
        AND EXISTS (SELECT FROM settled WHERE outcome = 'succeeded')
      ORDER BY r.identifier
      FOR UPDATE
    ), forgiven AS (
      UPDATE authkit.rate_limit_tracking AS r
      SET hits = 0, window_started_at = NULL, updated_at = clock_timestamp()
      FROM chosen AS c
      WHERE r.identifier = c.identifier AND r.resource = 'attempt'
    )
    SELECT outcome FROM settled
    """,
    parameters=(
        "occurred_at",
        "id",
        "outcome",
        "failure_reason",
        "user_id",
        "session_id",
        "risk_score",
        "risk_model",
        "risk_model_version",
        "risk_features",
        "forgive",
    ),
    types=(
        "timestamptz",
        "uuid",
        "text",
        "text",
        "uuid",
        "uuid",
        "float8",
        "text",
        "text",
        "jsonb",
        "text[]",
    ),
    row=Settled,
    intent=Intent.WRITE,
    idempotent=True,
)

# The id carries its own time (UUIDv7), within what two clocks may differ.
KEPT: Final = Operation(
    name="risk.kept",
    sql="""
    SELECT occurred_at, id, user_id, outcome, risk_score, risk_model,
           risk_model_version, risk_features
    FROM authkit.auth_attempts
    WHERE id = $1 AND occurred_at BETWEEN $2 AND $3
    """,
    parameters=("id", "since", "until"),
    types=("uuid", "timestamptz", "timestamptz"),
    row=Kept,
    intent=Intent.READ,
    idempotent=True,
)


OBSERVED: Final = Operation(
    name="risk.observed",
    sql="""
    SELECT user_id, host(ip) AS ip, asn, country, user_agent
    FROM authkit.auth_attempts
    WHERE id = $1 AND occurred_at BETWEEN $2 AND $3
    """,
    parameters=("id", "since", "until"),
    types=("uuid", "timestamptz", "timestamptz"),
    row=Observed,
    intent=Intent.READ,
    idempotent=True,
)


@dataclass(slots=True)
class Quantile:
    """A score, and over how many scores it was found."""

    value: float | None
    scores: int


# The lowest score that at most a share of completed logins lies above.
OF_LOGINS: Final = Operation(
    name="risk.quantile_of_logins",
    sql="""
    SELECT percentile_disc($4) WITHIN GROUP (ORDER BY risk_score) AS value,
           count(*) AS scores
    FROM authkit.auth_attempts
    WHERE outcome = 'succeeded' AND session_id IS NOT NULL AND occurred_at >= $1
      AND risk_model = $2 AND risk_model_version = $3 AND risk_score IS NOT NULL
    """,
    parameters=("since", "risk_model", "risk_model_version", "share"),
    types=("timestamptz", "text", "text", "float8"),
    row=Quantile,
    intent=Intent.READ,
    idempotent=True,
)
OF_ATTEMPTS: Final = Operation(
    name="risk.quantile_of_attempts",
    sql="""
    SELECT percentile_disc($4) WITHIN GROUP (ORDER BY risk_score) AS value,
           count(*) AS scores
    FROM authkit.auth_attempts
    WHERE id = ANY ($5::uuid[]) AND occurred_at >= $1
      AND risk_model = $2 AND risk_model_version = $3 AND risk_score IS NOT NULL
    """,
    parameters=("since", "risk_model", "risk_model_version", "share", "ids"),
    types=("timestamptz", "text", "text", "float8", "uuid[]"),
    row=Quantile,
    intent=Intent.READ,
    idempotent=True,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    FIND_USER,
    CLAIM,
    SETTLE,
    KEPT,
    OBSERVED,
    OF_LOGINS,
    OF_ATTEMPTS,
)
