"""The relational tables, first part: users, accounts, session records, credentials.

Roles and permissions stand in `authkit.schema.rbac`, second factors in
`authkit.schema.second_factors`, the audit trail in `authkit.schema.audit`; all are
exported from here. Relationships raise when they are
not loaded on purpose (`raiseload`), so that no query hides in an attribute.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from authkit.schema.audit import AuditChainHead, AuditLog
from authkit.schema.columns import (
    BIG,
    SMALL,
    IPAddress,
    JsonObject,
    check,
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
from authkit.schema.declarative import Record
from authkit.schema.masking import MaskingKey
from authkit.schema.metadata import SCHEMA
from authkit.schema.rbac import Permission, Role, RolePermission, UserRole
from authkit.schema.second_factors import BackupCode, UserTotp
from authkit.schema.vocabulary import ACCOUNT_TYPES

__all__ = [
    "Account",
    "AuditChainHead",
    "AuditLog",
    "BackupCode",
    "MaskingKey",
    "Permission",
    "Record",
    "Role",
    "RolePermission",
    "SubjectKey",
    "User",
    "UserRole",
    "UserSession",
    "UserTotp",
    "WebauthnCredential",
]

_USER = f"{SCHEMA}.users.id"


class User(Record):
    """A person or machine that can authenticate.

    `email` holds the normalised form alone (`authkit.crypto.normalise_email`), so that
    one UNIQUE constraint is the referee; the checks refuse what no client normalised.
    Erasure replaces it by an address under `.invalid` (RFC 2606) and keeps the row.
    """

    __tablename__ = "users"
    __table_args__ = (
        length("email", 320),
        check("email_trimmed", "email = btrim(email)"),
        check("email_folded", 'email = lower(email COLLATE "C")'),
        check("email_normalised", "email IS NFKC NORMALIZED"),
        check("email_printable", "email !~ '[[:cntrl:]]'"),
        length("name", 200),
        length("image", 2048),
        password_hash(),
        sealed("totp_secret_sealed"),
        check("failed_attempts_range", "failed_attempts >= 0"),
        check("authz_version_positive", "authz_version > 0"),
        risk_score(),
        check("erased_disabled", "erased_at IS NULL OR disabled_at IS NOT NULL"),
        Index(None, "created_at", "id"),
        Index(
            None,
            "sealing_key_id",
            postgresql_where=text("sealing_key_id IS NOT NULL"),
        ),
        {
            "comment": "one row a person or machine; erased, never deleted",
            "postgresql_with": {"fillfactor": "85"},
        },
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(
        unique=True, comment="normalised: NFKC, trimmed, lower case"
    )
    email_verified_at: Mapped[datetime | None]
    name: Mapped[str | None]
    image: Mapped[str | None] = mapped_column(comment="URL of a picture")
    password_hash: Mapped[str | None] = mapped_column(
        comment="PHC string, argon2id expected; null: no password"
    )
    mfa_enabled: Mapped[bool] = mapped_column(server_default=text("false"))
    totp_secret_sealed: Mapped[bytes | None]
    sealing_key_id: Mapped[str | None]
    failed_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    locked_until: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]
    last_login_ip: Mapped[IPAddress | None]
    risk_score: Mapped[float | None] = mapped_column(comment="null: unscored")
    disabled_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None] = mapped_column(
        comment="personal details removed and the subject's key destroyed"
    )
    authz_version: Mapped[int] = mapped_column(
        BIG,
        server_default=text("1"),
        comment="raised by triggers whenever what the user may do changes",
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now()
    )

    accounts: Mapped[list[Account]] = relationship(
        back_populates="user", lazy="raise", passive_deletes=True
    )
    credentials: Mapped[list[WebauthnCredential]] = relationship(
        back_populates="user", lazy="raise", passive_deletes=True
    )
    sessions: Mapped[list[UserSession]] = relationship(
        back_populates="user", lazy="raise", passive_deletes=True
    )
    grants: Mapped[list[UserRole]] = relationship(
        back_populates="user",
        foreign_keys="UserRole.user_id",
        lazy="raise",
        passive_deletes=True,
    )


class SubjectKey(Record):
    """The key that seals one subject's personal details in the audit trail.

    Destroying it (crypto-shredding) erases them while the chain stays verifiable. There
    is no foreign key: the row outlives its subject as the record of the erasure.
    """

    __tablename__ = "subject_keys"
    __table_args__ = (
        check("destroyed_whole", "num_nulls(key_sealed, destroyed_at) = 1"),
        sealed("key_sealed"),
        {"comment": "one key a subject; destroying it erases what it sealed"},
    )

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    key_sealed: Mapped[bytes | None]
    sealing_key_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    destroyed_at: Mapped[datetime | None]


class Account(Record):
    """A way in through somebody else: an identity at an issuer, linked to a user."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        one_of("type", ACCOUNT_TYPES),
        length("provider", 100),
        length("issuer", 2048),
        length("subject", 255),
        sealed("access_token_sealed", "refresh_token_sealed", "id_token_sealed"),
        Index(None, "user_id"),
        Index(
            None, "sealing_key_id", postgresql_where=text("sealing_key_id IS NOT NULL")
        ),
        {"comment": "identities at issuers; provider tokens are sealed"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(_USER, ondelete="CASCADE"))
    type: Mapped[str]
    provider: Mapped[str]
    issuer: Mapped[str] = mapped_column(comment="iss, or the provider's name if none")
    subject: Mapped[str] = mapped_column(comment="sub: the issuer's id of the user")
    access_token_sealed: Mapped[bytes | None]
    refresh_token_sealed: Mapped[bytes | None]
    id_token_sealed: Mapped[bytes | None]
    sealing_key_id: Mapped[str | None] = mapped_column(
        comment="key that sealed all three; an index finds those of an old one"
    )
    token_type: Mapped[str | None]
    expires_at: Mapped[datetime | None] = mapped_column(
        comment="expiry of the access token"
    )
    scope: Mapped[str | None]
    session_state: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now()
    )

    user: Mapped[User] = relationship(back_populates="accounts", lazy="raise")


class UserSession(Record):
    """The detailed record of a session, kept after the hot row is purged."""

    __tablename__ = "sessions"
    __table_args__ = (
        json_object("device_info"),
        check("assurance_level_range", "assurance_level BETWEEN 1 AND 3"),
        user_agent(),
        risk_score(),
        together("end_whole", "ended_at", "end_reason"),
        slug("end_reason"),
        Index(None, "user_id", "created_at"),
        Index(None, "created_at", postgresql_using="brin"),
        {"comment": "what is remembered of a session; written when it changes"},
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="the same as active_sessions.id; never the token"
    )
    user_id: Mapped[UUID] = mapped_column(ForeignKey(_USER, ondelete="CASCADE"))
    assurance_level: Mapped[int] = mapped_column(SMALL, server_default=text("1"))
    methods: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    device_info: Mapped[JsonObject] = mapped_column(server_default=text("'{}'::jsonb"))
    ip: Mapped[IPAddress | None]
    user_agent: Mapped[str | None]
    risk_score: Mapped[float | None] = mapped_column(comment="null: unscored")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_activity_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="as of the last change; touches go to active_sessions alone",
    )
    rotated_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]

    user: Mapped[User] = relationship(back_populates="sessions", lazy="raise")


class WebauthnCredential(Record):
    """A credential record (WebAuthn Level 3, section 4, "credential record")."""

    __tablename__ = "webauthn_credentials"
    __table_args__ = (
        UniqueConstraint("rp_id", "credential_id"),
        check("credential_id_length", "octet_length(credential_id) BETWEEN 1 AND 1023"),
        check("public_key_length", "octet_length(public_key) BETWEEN 1 AND 4096"),
        check("sign_count_range", "sign_count BETWEEN 0 AND 4294967295"),
        check("backup_state_eligible", "backup_eligible OR NOT backup_state"),
        length("rp_id", 253),
        length("name", 200),
        Index(None, "user_id"),
        {
            "comment": "passkeys and security keys",
            "postgresql_with": {"fillfactor": "85"},
        },
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(_USER, ondelete="CASCADE"))
    rp_id: Mapped[str] = mapped_column(comment="relying party: an effective domain")
    credential_id: Mapped[bytes]
    public_key: Mapped[bytes] = mapped_column(comment="COSE_Key (RFC 9052 section 7)")
    sign_count: Mapped[int] = mapped_column(BIG, server_default=text("0"))
    uv_initialized: Mapped[bool] = mapped_column(server_default=text("false"))
    backup_eligible: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="BE flag; a trigger holds it for life"
    )
    backup_state: Mapped[bool] = mapped_column(server_default=text("false"))
    transports: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    aaguid: Mapped[UUID] = mapped_column(
        server_default=text("'00000000-0000-0000-0000-000000000000'::uuid")
    )
    attestation_object: Mapped[bytes | None]
    attestation_client_data: Mapped[bytes | None]
    name: Mapped[str | None] = mapped_column(comment="what the user calls it")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    clone_suspected_at: Mapped[datetime | None] = mapped_column(
        comment="a sign count did not increase: a signal for risk, no refusal"
    )
    retired_at: Mapped[datetime | None] = mapped_column(
        comment="no longer accepted; kept, so that its id is not taken again"
    )

    user: Mapped[User] = relationship(back_populates="credentials", lazy="raise")
