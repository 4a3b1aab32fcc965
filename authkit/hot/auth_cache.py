"""All that a login or a permission check needs, in one read.

An entry is made by the server from the users, roles and permissions of one snapshot,
and carries their versions. It is served only while every version is still the current
one, compared in the statement that reads it, and never after the first of its grants
expires: an older answer cannot come out of it, whoever forgot to invalidate what.
What changes with every attempt (lock, failures, disabling) is read from the user.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from uuid import UUID

from authkit.hot.operation import AnyOperation, Intent, Operation


@dataclass(slots=True)
class CachedLogin:
    """What a login needs to know of a user; no repr shows a hash or a sealed value.

    `conditions` are those of the permissions that have some, by permission; `at` is
    the server's clock when it answered.
    """

    user_id: UUID
    password_hash: str | None = field(repr=False)
    mfa_enabled: bool
    totp_secret_sealed: bytes | None = field(repr=False)
    sealing_key_id: str | None
    failed_attempts: int
    locked_until: datetime | None
    locked: bool
    disabled_at: datetime | None
    last_login_at: datetime | None
    last_login_ip: IPv4Address | IPv6Address | None
    risk_score: float | None
    authz_version: int
    permissions: list[str]
    conditions: dict[str, Any]
    expires_at: datetime
    at: datetime


GET: Final = Operation(
    name="auth_cache.get",
    sql="""
    SELECT c.user_id, c.password_hash, c.mfa_enabled, c.totp_secret_sealed,
           c.sealing_key_id, u.failed_attempts, u.locked_until,
           coalesce(u.locked_until > clock_timestamp(), false) AS locked,
           u.disabled_at, u.last_login_at, u.last_login_ip, u.risk_score,
           c.authz_version, c.permissions, c.conditions, c.expires_at,
           clock_timestamp() AS at
    FROM authkit.user_auth_cache AS c
    JOIN authkit.users AS u ON u.id = c.user_id
    WHERE c.user_id = $1
      AND c.authz_version = u.authz_version
      AND c.expires_at > clock_timestamp()
      AND NOT EXISTS (
        SELECT 1 FROM unnest(c.role_ids, c.role_versions) AS held (id, version)
        LEFT JOIN authkit.roles AS r ON r.id = held.id
        WHERE r.version IS DISTINCT FROM held.version)
    """,
    parameters=("user_id",),
    types=("uuid",),
    row=CachedLogin,
    intent=Intent.READ,
    idempotent=True,
)

GET_BY_EMAIL: Final = Operation(
    name="auth_cache.get_by_email",
    sql="""
    SELECT c.user_id, c.password_hash, c.mfa_enabled, c.totp_secret_sealed,
           c.sealing_key_id, u.failed_attempts, u.locked_until,
           coalesce(u.locked_until > clock_timestamp(), false) AS locked,
           u.disabled_at, u.last_login_at, u.last_login_ip, u.risk_score,
           c.authz_version, c.permissions, c.conditions, c.expires_at,
           clock_timestamp() AS at
    FROM authkit.user_auth_cache AS c
    JOIN authkit.users AS u ON u.id = c.user_id
    WHERE c.email_hash = $1
      AND c.authz_version = u.authz_version
      AND c.expires_at > clock_timestamp()
      AND NOT EXISTS (
        SELECT 1 FROM unnest(c.role_ids, c.role_versions) AS held (id, version)
        LEFT JOIN authkit.roles AS r ON r.id = held.id
        WHERE r.version IS DISTINCT FROM held.version)
    """,
    parameters=("email_hash",),
    types=("bytea",),
    row=CachedLogin,
    intent=Intent.READ,
    idempotent=True,
)

# Versions and permissions come from one snapshot; an entry from a later one is left
# alone. `alive` makes an erasure wait, or waits for it; the row it locks may be newer
# than the snapshot, so that nothing is read from it: its version would lie ahead.
# `taken` is the entry of a user who had this address before: it goes first. An address
# that the snapshot does not know as the user's is not kept; one that changes after the
# snapshot raises the version, and what was kept is not served.
PUT: Final = Operation(
    name="auth_cache.put",
    sql="""
    WITH alive AS MATERIALIZED (
      SELECT id FROM authkit.users
      WHERE id = $1 AND erased_at IS NULL
      FOR KEY SHARE
    ), held AS MATERIALIZED (
      SELECT r.id, r.version, g.expires_at
      FROM authkit.user_roles AS g JOIN authkit.roles AS r ON r.id = g.role_id
      WHERE g.user_id = $1
        AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())
    ), allowed AS MATERIALIZED (
      SELECT DISTINCT p.name, p.conditions
      FROM held
      JOIN authkit.role_permissions AS rp ON rp.role_id = held.id
      JOIN authkit.permissions AS p ON p.id = rp.permission_id
    ), taken AS (
      DELETE FROM authkit.user_auth_cache
      WHERE email_hash = $2 AND user_id <> $1
      RETURNING user_id
    ), put AS (
      INSERT INTO authkit.user_auth_cache AS c (
        user_id, email_hash, password_hash, mfa_enabled, totp_secret_sealed,
        sealing_key_id, failed_attempts, locked_until, disabled_at, last_login_at,
        last_login_ip, risk_score, authz_version, role_ids, role_versions, permissions,
        conditions, cached_at, expires_at)
      SELECT u.id, $2, u.password_hash, u.mfa_enabled, u.totp_secret_sealed,
             u.sealing_key_id, u.failed_attempts, u.locked_until, u.disabled_at,
             u.last_login_at, u.last_login_ip, u.risk_score, u.authz_version,
             ARRAY(SELECT id FROM held ORDER BY id),
             ARRAY(SELECT version FROM held ORDER BY id),
             ARRAY(SELECT name FROM allowed ORDER BY name),
             (SELECT coalesce(jsonb_object_agg(name, conditions), '{}')
              FROM allowed WHERE conditions <> '{}'),
             clock_timestamp(),
             least(clock_timestamp() + $3::interval,
                   (SELECT min(expires_at) FROM held))
      FROM authkit.users AS u
      WHERE u.id = $1 AND ($4::text IS NULL OR u.email = $4)
        AND EXISTS (SELECT 1 FROM alive) AND (SELECT count(*) FROM taken) >= 0
      ON CONFLICT (user_id) DO UPDATE
      SET email_hash = excluded.email_hash, password_hash = excluded.password_hash,
          mfa_enabled = excluded.mfa_enabled,
          totp_secret_sealed = excluded.totp_secret_sealed,
          sealing_key_id = excluded.sealing_key_id,
          failed_attempts = excluded.failed_attempts,
          locked_until = excluded.locked_until, disabled_at = excluded.disabled_at,
          last_login_at = excluded.last_login_at,
          last_login_ip = excluded.last_login_ip, risk_score = excluded.risk_score,
          authz_version = excluded.authz_version, role_ids = excluded.role_ids,
          role_versions = excluded.role_versions, permissions = excluded.permissions,
          conditions = excluded.conditions, cached_at = excluded.cached_at,
          expires_at = excluded.expires_at
      WHERE c.authz_version <= excluded.authz_version
      RETURNING user_id, password_hash, mfa_enabled, totp_secret_sealed, sealing_key_id,
                failed_attempts, locked_until, disabled_at, last_login_at,
                last_login_ip, risk_score, authz_version, permissions, conditions,
                expires_at
    )
    SELECT user_id, password_hash, mfa_enabled, totp_secret_sealed, sealing_key_id,
           failed_attempts, locked_until,
           coalesce(locked_until > clock_timestamp(), false) AS locked,
           disabled_at, last_login_at, last_login_ip, risk_score, authz_version,
           permissions, conditions, expires_at, clock_timestamp() AS at
    FROM put
    """,
    parameters=("user_id", "email_hash", "keep", "current_email"),
    types=("uuid", "bytea", "interval", "text"),
    row=CachedLogin,
    intent=Intent.WRITE,
    idempotent=True,
)

INVALIDATE: Final[Operation[None]] = Operation(
    name="auth_cache.invalidate",
    sql="""
    DELETE FROM authkit.user_auth_cache WHERE user_id = $1
    """,
    parameters=("user_id",),
    types=("uuid",),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

# Locked in one order: two of these, or one beside a purge, cannot deadlock.
INVALIDATE_ROLE: Final[Operation[None]] = Operation(
    name="auth_cache.invalidate_role",
    sql="""
    DELETE FROM authkit.user_auth_cache
    WHERE user_id = ANY (ARRAY(
      SELECT user_id FROM authkit.user_auth_cache
      WHERE role_ids @> ARRAY(SELECT id FROM authkit.roles WHERE name = $1)
        AND EXISTS (SELECT 1 FROM authkit.roles WHERE name = $1)
      ORDER BY user_id
      FOR UPDATE))
    """,
    parameters=("role",),
    types=("text",),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

PURGE: Final[Operation[None]] = Operation(
    name="auth_cache.purge",
    sql="""
    DELETE FROM authkit.user_auth_cache
    WHERE user_id = ANY (ARRAY(
      SELECT user_id FROM authkit.user_auth_cache
      WHERE expires_at < now()
      LIMIT $1
      FOR UPDATE SKIP LOCKED))
    """,
    parameters=("limit",),
    types=("int8",),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    GET,
    GET_BY_EMAIL,
    PUT,
    INVALIDATE,
    INVALIDATE_ROLE,
    PURGE,
)
