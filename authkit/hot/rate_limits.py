"""Rate limits: the generic cell rate algorithm in one statement.

A key holds one instant, its theoretical arrival time (ITU-T I.371): the time at which
everything it was charged for is paid off. A charge is let through while that instant,
with the charge added, lies no more than one burst ahead. A denial writes nothing, so a
flood costs reads.

Except that an instant further ahead than one burst is brought back to that: after a
failover to a server whose clock is behind, or a change of policy, nobody is locked out
for longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from authkit.hot.operation import AnyOperation, Batch, Intent, Operation


@dataclass(slots=True)
class Charge:
    """How one key stood: at `at`, with its theoretical arrival time then."""

    place: int
    known: bool
    allowed: bool
    at: datetime
    arrival: datetime
    blocked_until: datetime | None


# `excluded.updated_at` is this call's reading of the clock as it set out. Whether it is
# let through is judged, charged and told by the clock once the row is locked: those who
# waited for it set out earlier than the last who was charged. By two clocks all of them
# would pass who waited for longer than a unit takes.
CHECK: Final = Operation(
    name="rate_limits.check",
    sql="""
    WITH clock AS MATERIALIZED (
      SELECT coalesce($6::timestamptz, clock_timestamp()) AS at
    ), charged AS (
      INSERT INTO authkit.rate_limit_tracking AS r (
        identifier, resource, policy, theoretical_arrival_at, updated_at)
      SELECT $1, $2, $3, clock.at + $4::interval, clock.at FROM clock
      ON CONFLICT (identifier, resource) DO UPDATE
      SET theoretical_arrival_at =
            greatest(r.theoretical_arrival_at,
                     coalesce($6::timestamptz, clock_timestamp())) + $4::interval,
          policy = excluded.policy, updated_at = excluded.updated_at
      WHERE r.theoretical_arrival_at + $4::interval
              <= coalesce($6::timestamptz, clock_timestamp()) + $5::interval
        AND (r.blocked_until IS NULL OR r.blocked_until <= excluded.updated_at)
      RETURNING r.theoretical_arrival_at AS arrival,
                coalesce($6::timestamptz, clock_timestamp()) AS at
    ), brought_back AS (
      UPDATE authkit.rate_limit_tracking AS r
      SET theoretical_arrival_at = clock.at + $5::interval
      FROM clock
      WHERE r.identifier = $1 AND r.resource = $2
        AND r.theoretical_arrival_at > clock.at + $5::interval
        AND NOT EXISTS (SELECT 1 FROM charged)
    )
    SELECT 1::int8 AS place, true AS known, charged.arrival IS NOT NULL AS allowed,
           coalesce(charged.at, clock.at) AS at,
           coalesce(charged.arrival,
                    least(greatest(r.theoretical_arrival_at, clock.at),
                          clock.at + $5::interval), clock.at) AS arrival,
           r.blocked_until
    FROM clock
    LEFT JOIN charged ON true
    LEFT JOIN authkit.rate_limit_tracking AS r ON r.identifier = $1 AND r.resource = $2
    """,
    parameters=("identifier", "resource", "policy", "increment", "tolerance", "now"),
    types=("text", "text", "text", "interval", "interval", "timestamptz"),
    row=Charge,
    intent=Intent.WRITE,
    idempotent=False,
    batch=Batch.ARRAY,
)

# All keys of one caller are charged, or none. Rows are locked in the order of their
# keys, so that two callers with the same keys cannot deadlock. A key without a row is
# reported as not known, and nothing is charged: what is not there cannot be locked.
CHECK_MANY: Final = Operation(
    name="rate_limits.check_many",
    sql="""
    WITH asked AS MATERIALIZED (
      SELECT identifier, resource, policy, increment, tolerance, place
      FROM unnest($1::text[], $2::text[], $3::text[], $4::interval[], $5::interval[])
        WITH ORDINALITY
        AS a (identifier, resource, policy, increment, tolerance, place)
    ), locked AS MATERIALIZED (
      SELECT r.identifier, r.resource, r.theoretical_arrival_at, r.blocked_until
      FROM authkit.rate_limit_tracking AS r
      WHERE (r.identifier, r.resource) IN (SELECT identifier, resource FROM asked)
      ORDER BY r.identifier, r.resource
      FOR UPDATE
    ), clock AS MATERIALIZED (
      SELECT coalesce($6::timestamptz, clock_timestamp()) AS at, count(*) AS found
      FROM locked
    ), judged AS MATERIALIZED (
      SELECT a.place, a.identifier, a.resource, a.policy, a.increment, clock.at,
             l.identifier IS NOT NULL AS known, l.blocked_until,
             l.theoretical_arrival_at > clock.at + a.tolerance AS too_far,
             least(greatest(l.theoretical_arrival_at, clock.at),
                   clock.at + a.tolerance) AS arrival,
             least(greatest(l.theoretical_arrival_at, clock.at),
                   clock.at + a.tolerance) + a.increment <= clock.at + a.tolerance
               AND (l.blocked_until IS NULL OR l.blocked_until <= clock.at) AS allowed
      FROM asked AS a
      CROSS JOIN clock
      LEFT JOIN locked AS l
        ON l.identifier = a.identifier AND l.resource = a.resource
    ), verdict AS MATERIALIZED (
      SELECT bool_and(known AND allowed) AS charge FROM judged
    ), charged AS (
      UPDATE authkit.rate_limit_tracking AS r
      SET theoretical_arrival_at =
            CASE WHEN v.charge THEN j.arrival + j.increment ELSE j.arrival END,
          policy = j.policy, updated_at = j.at
      FROM judged AS j, verdict AS v
      WHERE (v.charge OR j.too_far)
        AND r.identifier = j.identifier AND r.resource = j.resource
    )
    SELECT j.place, j.known, j.known AND j.allowed AS allowed, j.at,
           CASE WHEN v.charge THEN j.arrival + j.increment
                ELSE coalesce(j.arrival, j.at) END AS arrival,
           j.blocked_until
    FROM judged AS j, verdict AS v
    ORDER BY j.place
    """,
    parameters=(
        "identifiers",
        "resources",
        "policies",
        "increments",
        "tolerances",
        "now",
    ),
    types=("text[]", "text[]", "text[]", "interval[]", "interval[]", "timestamptz"),
    row=Charge,
    intent=Intent.WRITE,
    idempotent=False,
)

# Makes rows that owe nothing, in the order of their keys; those that are there stay.
ENSURE: Final[Operation[None]] = Operation(
    name="rate_limits.ensure",
    sql="""
    INSERT INTO authkit.rate_limit_tracking (
      identifier, resource, policy, theoretical_arrival_at)
    SELECT identifier, resource, policy, coalesce($4::timestamptz, clock_timestamp())
    FROM unnest($1::text[], $2::text[], $3::text[]) AS a (identifier, resource, policy)
    ORDER BY identifier, resource
    ON CONFLICT (identifier, resource) DO NOTHING
    """,
    parameters=("identifiers", "resources", "policies", "now"),
    types=("text[]", "text[]", "text[]", "timestamptz"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

PEEK: Final = Operation(
    name="rate_limits.peek",
    sql="""
    SELECT 1::int8 AS place, r.identifier IS NOT NULL AS known, true AS allowed,
           clock.at,
           coalesce(least(greatest(r.theoretical_arrival_at, clock.at),
                          clock.at + $3::interval), clock.at) AS arrival,
           r.blocked_until
    FROM (SELECT coalesce($4::timestamptz, clock_timestamp()) AS at) AS clock
    LEFT JOIN authkit.rate_limit_tracking AS r ON r.identifier = $1 AND r.resource = $2
    """,
    parameters=("identifier", "resource", "tolerance", "now"),
    types=("text", "text", "interval", "timestamptz"),
    row=Charge,
    intent=Intent.READ,
    idempotent=True,
)

BLOCK: Final[Operation[None]] = Operation(
    name="rate_limits.block",
    sql="""
    INSERT INTO authkit.rate_limit_tracking (
      identifier, resource, policy, theoretical_arrival_at, blocked_until, updated_at)
    SELECT $1, $2, 'block', clock.at, clock.at + $3::interval, clock.at
    FROM (SELECT coalesce($4::timestamptz, clock_timestamp()) AS at) AS clock
    ON CONFLICT (identifier, resource) DO UPDATE
    SET blocked_until = excluded.blocked_until, updated_at = excluded.updated_at
    """,
    parameters=("identifier", "resource", "duration", "now"),
    types=("text", "text", "interval", "timestamptz"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

RESET: Final[Operation[None]] = Operation(
    name="rate_limits.reset",
    sql="""
    DELETE FROM authkit.rate_limit_tracking WHERE identifier = $1 AND resource = $2
    """,
    parameters=("identifier", "resource"),
    types=("text", "text"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

# A row says nothing once it is paid off, blocks nobody and counts nothing. No index
# knows that: each check would have to maintain it.
PURGE: Final[Operation[None]] = Operation(
    name="rate_limits.purge",
    sql="""
    DELETE FROM authkit.rate_limit_tracking
    WHERE (identifier, resource) IN (
      SELECT identifier, resource FROM authkit.rate_limit_tracking
      WHERE theoretical_arrival_at < now() - $1::interval
        AND updated_at < now() - $1::interval
        AND (blocked_until IS NULL OR blocked_until < now())
      LIMIT $2
      FOR UPDATE SKIP LOCKED)
    """,
    parameters=("keep", "limit"),
    types=("interval", "int8"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    CHECK,
    CHECK_MANY,
    ENSURE,
    PEEK,
    BLOCK,
    RESET,
    PURGE,
)
