"""Reserving an attempt before the password is checked: the counters decide, not COUNT.

Guesses that run in parallel would all count the same past failures and all go on.
Here each one moves its counters first, under their locks, and is let through or not by
what it found there. Success forgives the counters of the subject, never the address's
or the one over all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from authkit.hot.operation import AnyOperation, Intent, Operation


@dataclass(slots=True)
class Reservation:
    """What became of a reservation.

    `known` is false where a counter's row is missing: nothing was counted or recorded.
    `denying` is the place, from 1, of the first counter that is full, and `free_at`
    when the last full one has room again.
    """

    known: bool
    occurred_at: datetime | None
    id: UUID | None
    at: datetime
    denying: int | None
    free_at: datetime | None


# A counter says something until its window ends: that instant is written where the
# purge looks, so that nobody is let in anew because a row was old.
RESERVE: Final = Operation(
    name="attempts.reserve",
    sql="""
    WITH asked AS MATERIALIZED (
      SELECT identifier, most, span, place
      FROM unnest($1::text[], $2::int8[], $3::interval[]) WITH ORDINALITY
        AS a (identifier, most, span, place)
    ), locked AS MATERIALIZED (
      SELECT r.identifier, r.hits, r.window_started_at, r.blocked_until
      FROM authkit.rate_limit_tracking AS r
      WHERE r.resource = 'attempt' AND r.identifier IN (SELECT identifier FROM asked)
      ORDER BY r.identifier
      FOR UPDATE
    ), clock AS MATERIALIZED (
      SELECT clock_timestamp() AS at, count(*) AS found FROM locked
    ), judged AS MATERIALIZED (
      SELECT a.place, a.identifier, clock.at, l.identifier IS NOT NULL AS known,
             CASE WHEN w.fresh THEN 0 ELSE l.hits END AS hits, a.span,
             CASE WHEN w.fresh THEN clock.at ELSE l.window_started_at END AS began,
             greatest(
               CASE WHEN NOT w.fresh AND l.hits >= a.most
                    THEN l.window_started_at + a.span END,
               CASE WHEN l.blocked_until > clock.at THEN l.blocked_until END
             ) AS free_at
      FROM asked AS a
      CROSS JOIN clock
      LEFT JOIN locked AS l ON l.identifier = a.identifier
      CROSS JOIN LATERAL (
        SELECT l.window_started_at IS NULL
            OR l.window_started_at + a.span <= clock.at
            OR l.window_started_at > clock.at AS fresh
      ) AS w
    ), verdict AS MATERIALIZED (
      SELECT bool_and(known) AS known, min(at) AS at, max(free_at) AS free_at,
             min(place) FILTER (WHERE free_at IS NOT NULL) AS denying
      FROM judged
    ), counted AS (
      UPDATE authkit.rate_limit_tracking AS r
      SET hits = j.hits + 1, updated_at = j.at,
          window_started_at = j.began, theoretical_arrival_at = j.began + j.span
      FROM judged AS j, verdict AS v
      WHERE v.known AND v.denying IS NULL
        AND r.identifier = j.identifier AND r.resource = 'attempt'
    ), recorded AS (
      INSERT INTO authkit.auth_attempts (
        occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
        device_fingerprint, session_id, client_id, stage, method, outcome,
        failure_reason, risk_score, risk_model, risk_model_version, risk_features)
      SELECT v.at, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
             CASE WHEN v.denying IS NULL THEN 'pending' ELSE 'denied' END,
             CASE WHEN v.denying IS NULL THEN NULL ELSE 'throttled' END,
             $16, $17, $18, $19
      FROM verdict AS v
      WHERE v.known
      RETURNING occurred_at, id
    )
    SELECT v.known, recorded.occurred_at, recorded.id, v.at, v.denying::int8, v.free_at
    FROM verdict AS v LEFT JOIN recorded ON true
    """,
    parameters=(
        "identifiers",
        "limits",
        "windows",
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
        "risk_score",
        "risk_model",
        "risk_model_version",
        "risk_features",
    ),
    types=(
        "text[]",
        "int8[]",
        "interval[]",
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
        "float8",
        "text",
        "text",
        "jsonb",
    ),
    row=Reservation,
    intent=Intent.WRITE,
    idempotent=False,
)

# Settling a success and forgiving the subject's counters share one fate.
SUCCEED: Final[Operation[None]] = Operation(
    name="attempts.succeed",
    sql="""
    WITH settled AS (
      UPDATE authkit.auth_attempts
      SET outcome = 'succeeded', settled_at = clock_timestamp(),
          user_id = coalesce($3, user_id), session_id = coalesce($4, session_id)
      WHERE occurred_at = $1 AND id = $2 AND outcome = 'pending'
      RETURNING id
    ), chosen AS MATERIALIZED (
      SELECT r.identifier FROM authkit.rate_limit_tracking AS r
      WHERE r.resource = 'attempt' AND r.identifier = ANY ($5::text[])
        AND EXISTS (SELECT 1 FROM settled)
      ORDER BY r.identifier
      FOR UPDATE
    ), forgiven AS (
      UPDATE authkit.rate_limit_tracking AS r
      SET hits = 0, window_started_at = NULL, updated_at = clock_timestamp()
      FROM chosen AS c
      WHERE r.identifier = c.identifier AND r.resource = 'attempt'
    )
    SELECT FROM settled
    """,
    parameters=("occurred_at", "id", "user_id", "session_id", "forgive"),
    types=("timestamptz", "uuid", "uuid", "uuid", "text[]"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (RESERVE, SUCCEED)
