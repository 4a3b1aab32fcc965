"""Many calls in one statement: the statements, and the rows beside them.

Every key is handed in once and in the order of keys, and rows are locked in that order,
so that two batches with the same keys cannot deadlock. What repeated keys mean for
their callers is worked out in `folding`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from authkit.hot.attempts import AttemptKey
from authkit.hot.operation import AnyOperation, Durability, Intent, Operation
from authkit.hot.sessions import Session


@dataclass(slots=True)
class FoundSession(Session):
    """A live session, and the digest that asked for it."""

    token_digest: bytes = field(repr=False)

    def session(self) -> Session:
        """Return the session alone; each caller gets one of its own."""
        return Session(
            self.id,
            self.user_id,
            self.assurance_level,
            self.methods.copy(),
            self.risk_score,
            self.authenticated_at,
            self.last_activity,
            self.expires_at,
            self.idle_s,
        )


@dataclass(slots=True)
class Touched:
    """A session that was touched, and how long it had been idle until then."""

    id: UUID
    idle: timedelta


@dataclass(slots=True)
class FoldedCharge:
    """How many of the same charges of one key were let through, and what it owes."""

    identifier: str
    resource: str
    granted: int
    at: datetime
    arrival: datetime
    blocked_until: datetime | None


VALIDATE: Final = Operation(
    name="sessions.validate_many",
    sql="""
    SELECT id, user_id, assurance_level, methods, risk_score, authenticated_at,
           last_activity, expires_at,
           extract(epoch FROM clock_timestamp() - last_activity)::float8 AS idle_s,
           token_digest
    FROM authkit.active_sessions
    WHERE token_digest = ANY ($1::bytea[])
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
    """,
    parameters=("token_digests",),
    types=("bytea[]",),
    row=FoundSession,
    intent=Intent.READ,
    idempotent=True,
)

TOUCH_WITHIN: Final = Operation(
    name="sessions.touch_many_within",
    sql="""
    WITH asked AS MATERIALIZED (
      SELECT id, every FROM unnest($1::uuid[], $2::interval[]) AS a (id, every)
    ), chosen AS MATERIALIZED (
      SELECT id, clock_timestamp() - last_activity AS idle
      FROM authkit.active_sessions JOIN asked USING (id)
      WHERE revoked_at IS NULL
        AND expires_at > clock_timestamp()
        AND last_activity + idle_timeout > clock_timestamp()
        AND last_activity <= clock_timestamp() - every
      ORDER BY id
      FOR NO KEY UPDATE OF active_sessions
    )
    UPDATE authkit.active_sessions AS s
    SET last_activity = clock_timestamp()
    FROM chosen AS c
    WHERE s.id = c.id
    RETURNING s.id, c.idle
    """,
    parameters=("ids", "every"),
    types=("uuid[]", "interval[]"),
    row=Touched,
    intent=Intent.WRITE,
    idempotent=True,
)

TOUCH: Final = Operation(
    name="sessions.touch_many",
    sql="""
    WITH asked AS MATERIALIZED (
      SELECT id, every FROM unnest($1::uuid[], $2::interval[]) AS a (id, every)
    ), chosen AS MATERIALIZED (
      SELECT id, clock_timestamp() - last_activity AS idle
      FROM authkit.active_sessions JOIN asked USING (id)
      WHERE revoked_at IS NULL
        AND expires_at > clock_timestamp()
        AND last_activity + idle_timeout > clock_timestamp()
        AND last_activity <= clock_timestamp() - every
      ORDER BY id
      FOR NO KEY UPDATE OF active_sessions
    )
    UPDATE authkit.active_sessions AS s
    SET last_activity = clock_timestamp()
    FROM chosen AS c, (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed
    WHERE s.id = c.id
    RETURNING s.id, c.idle
    """,
    parameters=("ids", "every"),
    types=("uuid[]", "interval[]"),
    row=Touched,
    intent=Intent.WRITE,
    idempotent=True,
    durability=Durability.RELAXED,
    within=TOUCH_WITHIN,
)

# Addresses and features go over as text, which the server reads.
RECORD: Final = Operation(
    name="attempts.record_many",
    sql="""
    INSERT INTO authkit.auth_attempts (
      occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
      device_fingerprint, session_id, client_id, stage, method, outcome,
      failure_reason, risk_score, risk_model, risk_model_version, risk_features)
    SELECT coalesce(occurred_at, clock_timestamp()), id, subject_hash, user_id,
           ip::inet, asn, country, user_agent, device_fingerprint, session_id,
           client_id, stage, method, outcome, failure_reason, risk_score, risk_model,
           risk_model_version, risk_features::jsonb
    FROM unnest($1::timestamptz[], $2::uuid[], $3::bytea[], $4::uuid[], $5::text[],
                $6::int8[], $7::text[], $8::text[], $9::bytea[], $10::uuid[],
                $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
                $16::float8[], $17::text[], $18::text[], $19::text[])
      AS a (occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
            device_fingerprint, session_id, client_id, stage, method, outcome,
            failure_reason, risk_score, risk_model, risk_model_version, risk_features)
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
        "timestamptz[]",
        "uuid[]",
        "bytea[]",
        "uuid[]",
        "text[]",
        "int8[]",
        "text[]",
        "text[]",
        "bytea[]",
        "uuid[]",
        "text[]",
        "text[]",
        "text[]",
        "text[]",
        "text[]",
        "float8[]",
        "text[]",
        "text[]",
        "text[]",
    ),
    row=AttemptKey,
    intent=Intent.WRITE,
    idempotent=False,
)

# Each key is charged as often as it was asked for and as fits, in whole microseconds so
# that the division is exact; `hits`, which a limiter does not need otherwise, carries
# how often that was out of the statement. What is let through is not read again; of a
# denied key the state before this statement is reported.
CHECK: Final = Operation(
    name="rate_limits.check_folded",
    sql="""
    WITH clock AS MATERIALIZED (
      SELECT clock_timestamp() AS at
    ), asked AS MATERIALIZED (
      SELECT identifier, resource, calls
      FROM unnest($1::text[], $2::text[], $6::int8[]) AS a (identifier, resource, calls)
    ), charged AS (
      INSERT INTO authkit.rate_limit_tracking AS r (
        identifier, resource, policy, theoretical_arrival_at, hits, updated_at)
      SELECT identifier, resource, $5, clock.at + $3::interval * fit.calls, fit.calls,
             clock.at
      FROM asked CROSS JOIN clock CROSS JOIN LATERAL (
        SELECT least(calls, (extract(epoch FROM $4::interval) * 1000000)::int8
                            / (extract(epoch FROM $3::interval) * 1000000)::int8)
      ) AS fit (calls)
      ORDER BY identifier, resource
      ON CONFLICT (identifier, resource) DO UPDATE
      SET theoretical_arrival_at =
            least(greatest(r.theoretical_arrival_at, excluded.updated_at),
                  excluded.updated_at + $4::interval)
            + $3::interval * least(excluded.hits, (extract(epoch FROM
                excluded.updated_at + $4::interval
                - least(greatest(r.theoretical_arrival_at, excluded.updated_at),
                        excluded.updated_at + $4::interval)) * 1000000)::int8
              / (extract(epoch FROM $3::interval) * 1000000)::int8),
          hits = least(excluded.hits, (extract(epoch FROM
                excluded.updated_at + $4::interval
                - least(greatest(r.theoretical_arrival_at, excluded.updated_at),
                        excluded.updated_at + $4::interval)) * 1000000)::int8
              / (extract(epoch FROM $3::interval) * 1000000)::int8),
          policy = excluded.policy, updated_at = excluded.updated_at
      WHERE (r.blocked_until IS NULL OR r.blocked_until <= excluded.updated_at)
        AND (greatest(r.theoretical_arrival_at, excluded.updated_at) + $3::interval
               <= excluded.updated_at + $4::interval
          -- The server's clock went back; not that others were charged meanwhile.
          OR r.theoretical_arrival_at > clock_timestamp() + $4::interval)
      RETURNING r.identifier, r.resource, r.hits AS granted,
                r.theoretical_arrival_at AS arrival
    )
    SELECT c.identifier, c.resource, c.granted, clock.at, c.arrival,
           NULL::timestamptz AS blocked_until
    FROM charged AS c CROSS JOIN clock
    UNION ALL
    SELECT a.identifier, a.resource, 0::int8, clock.at,
           coalesce(least(greatest(r.theoretical_arrival_at, clock.at),
                          clock.at + $4::interval), clock.at),
           r.blocked_until
    FROM asked AS a CROSS JOIN clock
    LEFT JOIN authkit.rate_limit_tracking AS r
      ON r.identifier = a.identifier AND r.resource = a.resource
    WHERE NOT EXISTS (
      SELECT 1 FROM charged AS c
      WHERE c.identifier = a.identifier AND c.resource = a.resource)
    """,
    parameters=(
        "identifiers",
        "resources",
        "increment",
        "tolerance",
        "policy",
        "calls",
    ),
    types=("text[]", "text[]", "interval", "interval", "text", "int8[]"),
    row=FoldedCharge,
    intent=Intent.WRITE,
    idempotent=False,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    VALIDATE,
    TOUCH,
    TOUCH_WITHIN,
    RECORD,
    CHECK,
)
