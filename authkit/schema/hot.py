"""The hot-path tables: sessions, limits, cached logins, idempotency keys.

Attempts stand in `authkit.schema.attempts`, the one-time secrets and tokens of OAuth in
`authkit.schema.oauth`; all are exported from here. These tables have no foreign key to
`users`: it would cost every insert a lock on the user's row, and every deletion of a
user a scan of tables whose indexes cover live rows only. The application may not delete
users (it disables and erases them), so no orphan comes about that way.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    Column,
    Index,
    Named,
    PrimaryKeyConstraint,
    Table,
    TypedColumns,
    func,
    text,
)

from authkit.schema.attempts import auth_attempts
from authkit.schema.columns import (
    ADDRESS,
    BIG,
    BIGS,
    BYTES,
    FLAG,
    INSTANT,
    INT,
    JSON_OBJECT,
    LENGTH_OF_TIME,
    REAL,
    SMALL,
    TEXT,
    TEXTS,
    UUID_,
    UUIDS,
    IPAddress,
    JsonObject,
    check,
    country,
    digest,
    json_object,
    length,
    one_of,
    password_hash,
    risk_score,
    sealed,
    slug,
    together,
    user_agent,
)
from authkit.schema.metadata import metadata
from authkit.schema.oauth import (
    oauth_auth_codes,
    oauth_issued_tokens,
    oauth_state_tracking,
    oauth_token_cache,
    oauth_token_families,
)
from authkit.schema.vocabulary import WRITE_STATUSES

__all__ = [
    "active_sessions",
    "auth_attempts",
    "oauth_auth_codes",
    "oauth_issued_tokens",
    "oauth_state_tracking",
    "oauth_token_cache",
    "oauth_token_families",
    "rate_limit_tracking",
    "user_auth_cache",
    "write_keys",
]


class ActiveSessionColumns(TypedColumns):
    """Columns of `active_sessions`."""

    id: Named[UUID] = Column(UUID_, primary_key=True)
    token_digest: Named[bytes] = Column(
        BYTES,
        unique=True,
        comment="SHA-256 of the bearer token, which is stored nowhere",
    )
    user_id: Named[UUID] = Column(UUID_)
    assurance_level: Named[int] = Column(
        SMALL,
        server_default=text("1"),
        comment="authenticator assurance level, 1 to 3 (NIST SP 800-63B)",
    )
    methods: Named[list[str]] = Column(
        TEXTS,
        server_default=text("'{}'::text[]"),
        comment="how the user authenticated (amr, RFC 8176)",
    )
    ip: Named[IPAddress | None] = Column(ADDRESS)
    country: Named[str | None] = Column(TEXT, comment="ISO 3166-1 alpha-2")
    device_fingerprint: Named[bytes | None] = Column(
        BYTES, comment="keyed hash of what the application knows the device by"
    )
    user_agent: Named[str | None] = Column(TEXT)
    risk_score: Named[float | None] = Column(REAL, comment="null: unscored")
    authenticated_at: Named[datetime] = Column(
        INSTANT,
        server_default=func.now(),
        comment="when the user last proved who they are; rotation resets it",
    )
    created_at: Named[datetime] = Column(INSTANT, server_default=func.now())
    last_activity: Named[datetime] = Column(
        INSTANT,
        server_default=func.now(),
        comment="in no index, so that touching a session is a HOT update",
    )
    idle_timeout: Named[timedelta] = Column(
        LENGTH_OF_TIME, server_default=text("'00:30:00'::interval")
    )
    expires_at: Named[datetime] = Column(
        INSTANT, comment="absolute expiry; nothing extends a session past it"
    )
    rotated_at: Named[datetime | None] = Column(
        INSTANT, comment="when the token was last replaced"
    )
    revoked_at: Named[datetime | None] = Column(INSTANT)
    revoke_reason: Named[str | None] = Column(TEXT)
    refresh_family_id: Named[UUID | None] = Column(
        UUID_, comment="its refresh tokens: a row of oauth_token_families"
    )


# A page keeps room for touched versions of its rows (HOT: documentation, section 65.7).
active_sessions = Table(
    "active_sessions",
    metadata,
    ActiveSessionColumns,
    digest("token_digest"),
    digest("device_fingerprint"),
    check("assurance_level_range", "assurance_level BETWEEN 1 AND 3"),
    check("idle_timeout_positive", "idle_timeout > interval '0'"),
    check("expires_after_creation", "expires_at > created_at"),
    country(),
    user_agent(),
    risk_score(),
    together("revocation_whole", "revoked_at", "revoke_reason"),
    slug("revoke_reason"),
    Index(
        "active_sessions_live_by_user_idx",
        "user_id",
        "created_at",
        postgresql_where=text("revoked_at IS NULL"),
    ),
    Index(
        "active_sessions_live_by_device_idx",
        "device_fingerprint",
        postgresql_where=text("revoked_at IS NULL AND device_fingerprint IS NOT NULL"),
    ),
    Index(
        "active_sessions_live_by_ip_idx",
        "ip",
        postgresql_where=text("revoked_at IS NULL AND ip IS NOT NULL"),
    ),
    Index(
        "active_sessions_live_by_risk_idx",
        "risk_score",
        postgresql_where=text("revoked_at IS NULL AND risk_score IS NOT NULL"),
    ),
    Index(
        "active_sessions_by_family_idx",
        "refresh_family_id",
        postgresql_where=text("refresh_family_id IS NOT NULL"),
    ),
    Index(None, "expires_at"),
    comment="live sessions; the detailed record of each is in sessions, by the same id",
    postgresql_with={"fillfactor": "80"},
)


class RateLimitColumns(TypedColumns):
    """Columns of `rate_limit_tracking`."""

    identifier: Named[str] = Column(
        TEXT,
        comment="whom it limits: an id, an address or a keyed hash; never an e-mail",
    )
    resource: Named[str] = Column(TEXT, comment="what it limits, e.g. login")
    policy: Named[str] = Column(TEXT, comment="name of the policy last applied")
    theoretical_arrival_at: Named[datetime] = Column(
        INSTANT,
        server_default=text("clock_timestamp()"),
        comment="TAT of the generic cell rate algorithm (ITU-T I.371)",
    )
    hits: Named[int] = Column(
        BIG,
        server_default=text("0"),
        comment="attempts reserved since window_started_at;"
        " of a limiter, what its last batch let through",
    )
    window_started_at: Named[datetime | None] = Column(INSTANT)
    blocked_until: Named[datetime | None] = Column(INSTANT)
    updated_at: Named[datetime] = Column(
        INSTANT, server_default=text("clock_timestamp()")
    )


# Every column but the key changes all the time, and no index but the key's stands in
# the way: each check is a HOT update on a page that is half empty.
rate_limit_tracking = Table(
    "rate_limit_tracking",
    metadata,
    RateLimitColumns,
    PrimaryKeyConstraint("identifier", "resource"),
    length("identifier", 200),
    length("resource", 100),
    slug("policy"),
    check("hits_range", "hits >= 0"),
    comment="rate limiter and attempt counters; a row that says nothing may go",
    postgresql_with={"fillfactor": "50"},
)


class UserAuthCacheColumns(TypedColumns):
    """Columns of `user_auth_cache`."""

    user_id: Named[UUID] = Column(UUID_, primary_key=True)
    email_hash: Named[bytes] = Column(
        BYTES, unique=True, comment="keyed hash of the normalised e-mail"
    )
    password_hash: Named[str | None] = Column(TEXT, comment="PHC string")
    mfa_enabled: Named[bool] = Column(FLAG, server_default=text("false"))
    totp_secret_sealed: Named[bytes | None] = Column(BYTES)
    sealing_key_id: Named[str | None] = Column(TEXT)
    failed_attempts: Named[int] = Column(INT, server_default=text("0"))
    locked_until: Named[datetime | None] = Column(INSTANT)
    disabled_at: Named[datetime | None] = Column(INSTANT)
    last_login_at: Named[datetime | None] = Column(INSTANT)
    last_login_ip: Named[IPAddress | None] = Column(ADDRESS)
    risk_score: Named[float | None] = Column(REAL, comment="null: unscored")
    authz_version: Named[int] = Column(
        BIG, comment="users.authz_version at the time; another one: not to be served"
    )
    role_ids: Named[list[UUID]] = Column(UUIDS, server_default=text("'{}'::uuid[]"))
    role_versions: Named[list[int]] = Column(
        BIGS,
        server_default=text("'{}'::bigint[]"),
        comment="roles.version of each of role_ids; another one: not to be served",
    )
    permissions: Named[list[str]] = Column(TEXTS, server_default=text("'{}'::text[]"))
    conditions: Named[JsonObject] = Column(
        JSON_OBJECT,
        server_default=text("'{}'::jsonb"),
        comment="conditions of those permissions that have some, by permission",
    )
    cached_at: Named[datetime] = Column(INSTANT, server_default=func.now())
    expires_at: Named[datetime] = Column(
        INSTANT, comment="no later than the earliest expiry among the user's grants"
    )


user_auth_cache = Table(
    "user_auth_cache",
    metadata,
    UserAuthCacheColumns,
    digest("email_hash"),
    password_hash(),
    sealed("totp_secret_sealed"),
    check("failed_attempts_range", "failed_attempts >= 0"),
    risk_score(),
    check("authz_version_positive", "authz_version > 0"),
    check("role_versions_paired", "cardinality(role_ids) = cardinality(role_versions)"),
    json_object("conditions"),
    Index(None, "role_ids", postgresql_using="gin"),
    comment="all that a login or a permission check needs, in one read",
    postgresql_with={"fillfactor": "80"},
)


class WriteKeyColumns(TypedColumns):
    """Columns of `write_keys`."""

    key: Named[str] = Column(TEXT, primary_key=True)
    status: Named[str] = Column(
        TEXT,
        comment="applied: its transaction committed; void: claimed, it never can",
    )
    epoch: Named[int] = Column(
        BIG, server_default=text("0"), comment="timeline on which the row was written"
    )
    created_at: Named[datetime] = Column(INSTANT, server_default=func.now())


write_keys = Table(
    "write_keys",
    metadata,
    WriteKeyColumns,
    length("key", 200),
    one_of("status", WRITE_STATUSES),
    check("epoch_range", "epoch >= 0"),
    Index(None, "created_at", postgresql_using="brin"),
    comment="idempotency keys, each written in the transaction that it stands for",
)
