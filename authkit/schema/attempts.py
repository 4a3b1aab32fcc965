"""Authentication attempts: one partition a day, each row settled at most once.

A DEFAULT partition stands beside the daily ones, because a login must not fail when
nobody made tomorrow's partition: the row goes to the default, the health of the
database says so, and `ensure_partitions` moves it where it belongs.
"""

from __future__ import annotations

from datetime import datetime
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

from authkit.schema.columns import (
    ADDRESS,
    BIG,
    BYTES,
    INSTANT,
    JSON_OBJECT,
    REAL,
    TEXT,
    UUID_,
    IPAddress,
    JsonObject,
    check,
    country,
    digest,
    json_object,
    length,
    one_of,
    risk_score,
    slug,
    user_agent,
)
from authkit.schema.metadata import metadata
from authkit.schema.vocabulary import ATTEMPT_METHODS, ATTEMPT_OUTCOMES, ATTEMPT_STAGES


class AuthAttemptColumns(TypedColumns):
    """Columns of `auth_attempts`."""

    occurred_at: Named[datetime] = Column(INSTANT, server_default=func.now())
    id: Named[UUID] = Column(UUID_)
    subject_hash: Named[bytes | None] = Column(
        BYTES, comment="keyed hash of the normalised e-mail or name that was tried"
    )
    user_id: Named[UUID | None] = Column(
        UUID_, comment="null while, and if, the subject is nobody we know"
    )
    ip: Named[IPAddress | None] = Column(ADDRESS)
    asn: Named[int | None] = Column(BIG, comment="autonomous system of the address")
    country: Named[str | None] = Column(TEXT, comment="ISO 3166-1 alpha-2")
    user_agent: Named[str | None] = Column(TEXT)
    device_fingerprint: Named[bytes | None] = Column(
        BYTES, comment="keyed hash of what the application knows the device by"
    )
    session_id: Named[UUID | None] = Column(
        UUID_, comment="session that it opened, or that it was made in"
    )
    client_id: Named[str | None] = Column(TEXT)
    stage: Named[str] = Column(TEXT, server_default=text("'primary'"))
    method: Named[str] = Column(TEXT, server_default=text("'password'"))
    outcome: Named[str] = Column(
        TEXT,
        server_default=text("'pending'"),
        comment="pending changes once; whatever is never settled counts as failed",
    )
    failure_reason: Named[str | None] = Column(TEXT)
    settled_at: Named[datetime | None] = Column(
        INSTANT, comment="null where the row was inserted settled"
    )
    risk_score: Named[float | None] = Column(REAL, comment="null: unscored")
    risk_model: Named[str | None] = Column(TEXT)
    risk_model_version: Named[str | None] = Column(TEXT)
    risk_features: Named[JsonObject | None] = Column(
        JSON_OBJECT, comment="terms of the score, so that it can be replayed"
    )


auth_attempts = Table(
    "auth_attempts",
    metadata,
    AuthAttemptColumns,
    PrimaryKeyConstraint("occurred_at", "id"),
    digest("subject_hash"),
    digest("device_fingerprint"),
    check("asn_range", "asn BETWEEN 0 AND 4294967295"),
    country(),
    user_agent(),
    length("client_id", 200),
    one_of("stage", ATTEMPT_STAGES),
    one_of("method", ATTEMPT_METHODS),
    one_of("outcome", ATTEMPT_OUTCOMES),
    slug("failure_reason"),
    check(
        "failure_reason_fits",
        "failure_reason IS NULL OR outcome IN ('failed', 'denied', 'abandoned')",
    ),
    check("pending_unsettled", "outcome <> 'pending' OR settled_at IS NULL"),
    risk_score(),
    check(
        "risk_attributed",
        "risk_score IS NULL"
        " OR (risk_model IS NOT NULL AND risk_model_version IS NOT NULL)",
    ),
    json_object("risk_features"),
    # BRIN: time follows the order of insertion, so a few kilobytes replace a b-tree.
    Index("auth_attempts_by_time_idx", "occurred_at", postgresql_using="brin"),
    Index(
        "auth_attempts_by_subject_idx",
        "subject_hash",
        "occurred_at",
        postgresql_where=text("subject_hash IS NOT NULL"),
    ),
    Index(
        "auth_attempts_by_user_idx",
        "user_id",
        "occurred_at",
        postgresql_where=text("user_id IS NOT NULL"),
    ),
    Index(
        "auth_attempts_by_ip_idx",
        "ip",
        "occurred_at",
        postgresql_where=text("ip IS NOT NULL"),
    ),
    Index(
        "auth_attempts_by_device_idx",
        "device_fingerprint",
        "occurred_at",
        postgresql_where=text("device_fingerprint IS NOT NULL"),
    ),
    comment="every attempt to authenticate; no request body, no e-mail in clear",
    postgresql_partition_by="RANGE (occurred_at)",
)
