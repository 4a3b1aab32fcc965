"""Sessions seen together: lists, signals, figures, and the purge of dead rows.

Lists are pages by key: hand the last row's key back to read on. None shows a token or
its digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from uuid import UUID

from authkit.hot.expiring import purge
from authkit.hot.operation import AnyOperation, Intent, Operation


@dataclass(slots=True)
class SessionSummary:
    """A live session as its user, or an operator, is shown it."""

    id: UUID
    user_id: UUID
    assurance_level: int
    methods: list[str]
    ip: IPv4Address | IPv6Address | None
    country: str | None
    device_fingerprint: bytes | None
    user_agent: str | None
    risk_score: float | None
    created_at: datetime
    last_activity: datetime
    expires_at: datetime


@dataclass(slots=True)
class SuspiciousUser:
    """A user whose live sessions come from several places at once."""

    user_id: UUID
    sessions: int
    addresses: int
    devices: int
    countries: int
    last_activity: datetime


@dataclass(slots=True)
class SessionStats:
    """Figures over the sessions that began within a window.

    `mean_s` is the mean time from creation to last activity, in seconds. The `top`
    lists hold the most frequent first: `{"ip" or "user_agent": ..., "sessions": n}`.
    """

    total: int
    active: int
    revoked: int
    unique_users: int
    mean_s: float | None
    top_addresses: list[dict[str, Any]]
    top_devices: list[dict[str, Any]]


LIST: Final = Operation(
    name="sessions.list",
    sql="""
    SELECT id, user_id, assurance_level, methods, ip, country, device_fingerprint,
           user_agent, risk_score, created_at, last_activity, expires_at
    FROM authkit.active_sessions
    WHERE user_id = $1
      AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
    ORDER BY created_at DESC, id DESC
    LIMIT $4
    """,
    parameters=("user_id", "before", "before_id", "limit"),
    types=("uuid", "timestamptz", "uuid", "int8"),
    row=SessionSummary,
    intent=Intent.READ,
    idempotent=True,
)

BY_DEVICE: Final = Operation(
    name="sessions.by_device",
    sql="""
    SELECT id, user_id, assurance_level, methods, ip, country, device_fingerprint,
           user_agent, risk_score, created_at, last_activity, expires_at
    FROM authkit.active_sessions
    WHERE device_fingerprint = $1
      AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
    ORDER BY created_at DESC, id DESC
    LIMIT $4
    """,
    parameters=("device_fingerprint", "before", "before_id", "limit"),
    types=("bytea", "timestamptz", "uuid", "int8"),
    row=SessionSummary,
    intent=Intent.READ,
    idempotent=True,
)

BY_IP: Final = Operation(
    name="sessions.by_ip",
    sql="""
    SELECT id, user_id, assurance_level, methods, ip, country, device_fingerprint,
           user_agent, risk_score, created_at, last_activity, expires_at
    FROM authkit.active_sessions
    WHERE ip = $1
      AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
    ORDER BY created_at DESC, id DESC
    LIMIT $4
    """,
    parameters=("ip", "before", "before_id", "limit"),
    types=("inet", "timestamptz", "uuid", "int8"),
    row=SessionSummary,
    intent=Intent.READ,
    idempotent=True,
)

HIGH_RISK: Final = Operation(
    name="sessions.high_risk",
    sql="""
    SELECT id, user_id, assurance_level, methods, ip, country, device_fingerprint,
           user_agent, risk_score, created_at, last_activity, expires_at
    FROM authkit.active_sessions
    WHERE risk_score >= $1
      AND ($2::float8 IS NULL OR (risk_score, id) < ($2, $3::uuid))
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
    ORDER BY risk_score DESC, id DESC
    LIMIT $4
    """,
    parameters=("threshold", "below", "below_id", "limit"),
    types=("float8", "float8", "uuid", "int8"),
    row=SessionSummary,
    intent=Intent.READ,
    idempotent=True,
)

SUSPICIOUS: Final = Operation(
    name="sessions.suspicious",
    sql="""
    SELECT user_id, count(*) AS sessions, count(DISTINCT ip) AS addresses,
           count(DISTINCT device_fingerprint) AS devices,
           count(DISTINCT country) AS countries, max(last_activity) AS last_activity
    FROM authkit.active_sessions
    WHERE ($4::uuid IS NULL OR user_id > $4)
      AND revoked_at IS NULL
      AND expires_at > clock_timestamp()
      AND last_activity + idle_timeout > clock_timestamp()
    GROUP BY user_id
    HAVING count(DISTINCT ip) >= $1
        OR count(DISTINCT device_fingerprint) >= $2
        OR count(DISTINCT country) >= $3
    ORDER BY user_id
    LIMIT $5
    """,
    parameters=("addresses", "devices", "countries", "after_user", "limit"),
    types=("int8", "int8", "int8", "uuid", "int8"),
    row=SuspiciousUser,
    intent=Intent.READ,
    idempotent=True,
)

SET_RISK: Final[Operation[None]] = Operation(
    name="sessions.set_risk",
    sql="""
    UPDATE authkit.active_sessions
    SET risk_score = $2
    WHERE id = $1 AND revoked_at IS NULL
    """,
    parameters=("id", "risk_score"),
    types=("uuid", "float8"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

STATS: Final = Operation(
    name="sessions.stats",
    sql="""
    WITH began AS MATERIALIZED (
      SELECT user_id, ip, user_agent, revoked_at,
             extract(epoch FROM last_activity - created_at)::float8 AS lasted_s,
             revoked_at IS NULL
               AND expires_at > clock_timestamp()
               AND last_activity + idle_timeout > clock_timestamp() AS live
      FROM authkit.active_sessions
      WHERE created_at >= $1 AND created_at < $2
    ), addresses AS (
      SELECT ip, count(*) AS sessions FROM began WHERE ip IS NOT NULL
      GROUP BY ip ORDER BY sessions DESC, ip LIMIT $3
    ), devices AS (
      SELECT user_agent, count(*) AS sessions FROM began WHERE user_agent IS NOT NULL
      GROUP BY user_agent ORDER BY sessions DESC, user_agent LIMIT $3
    )
    SELECT count(*) AS total,
           count(*) FILTER (WHERE live) AS active,
           count(revoked_at) AS revoked,
           count(DISTINCT user_id) AS unique_users,
           avg(lasted_s) AS mean_s,
           (SELECT coalesce(jsonb_agg(jsonb_build_object(
              'ip', host(ip), 'sessions', sessions) ORDER BY sessions DESC, ip), '[]')
            FROM addresses) AS top_addresses,
           (SELECT coalesce(jsonb_agg(jsonb_build_object(
              'user_agent', user_agent, 'sessions', sessions)
              ORDER BY sessions DESC, user_agent), '[]')
            FROM devices) AS top_devices
    FROM began
    """,
    parameters=("since", "until", "top"),
    types=("timestamptz", "timestamptz", "int8"),
    row=SessionStats,
    intent=Intent.READ,
    idempotent=True,
)

PURGE: Final = purge("sessions.purge", "active_sessions", "id")

DEFAULT_KEEP = timedelta(days=7)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    LIST,
    BY_DEVICE,
    BY_IP,
    HIGH_RISK,
    SUSPICIOUS,
    SET_RISK,
    STATS,
    PURGE,
)
