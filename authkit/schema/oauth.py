"""OAuth on both sides: tokens of upstream providers, and the codes and tokens we issue.

Each kind of one-time secret has a table of its own: a store shared by several kinds
lets one be presented as another.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Named,
    PrimaryKeyConstraint,
    Table,
    TypedColumns,
    UniqueConstraint,
    func,
    text,
)

from authkit.schema.columns import (
    ADDRESS,
    BYTES,
    INSTANT,
    INT,
    TEXT,
    TEXTS,
    UUID_,
    IPAddress,
    check,
    digest,
    length,
    one_of,
    sealed,
    slug,
    together,
    user_agent,
)
from authkit.schema.metadata import SCHEMA, metadata
from authkit.schema.vocabulary import TOKEN_KINDS


class TokenCacheColumns(TypedColumns):
    """Columns of `oauth_token_cache`."""

    user_id: Named[UUID] = Column(UUID_)
    provider: Named[str] = Column(TEXT)
    provider_account_id: Named[str] = Column(TEXT)
    access_token_sealed: Named[bytes] = Column(BYTES)
    refresh_token_sealed: Named[bytes | None] = Column(BYTES)
    id_token_sealed: Named[bytes | None] = Column(BYTES)
    sealing_key_id: Named[str] = Column(TEXT, comment="key that sealed all three")
    expires_at: Named[datetime | None] = Column(
        INSTANT, comment="expiry of the access token; null where the provider is silent"
    )
    token_type: Named[str] = Column(TEXT, server_default=text("'Bearer'"))
    scope: Named[str | None] = Column(TEXT)
    session_state: Named[str | None] = Column(TEXT)
    created_at: Named[datetime] = Column(INSTANT, server_default=func.now())
    updated_at: Named[datetime] = Column(INSTANT, server_default=func.now())


oauth_token_cache = Table(
    "oauth_token_cache",
    metadata,
    TokenCacheColumns,
    PrimaryKeyConstraint("user_id", "provider", "provider_account_id"),
    UniqueConstraint("provider", "provider_account_id"),
    length("provider", 100),
    length("provider_account_id", 255),
    Index(None, "expires_at"),
    Index(None, "sealing_key_id"),
    comment="tokens of upstream providers, sealed; never in clear",
    postgresql_with={"fillfactor": "80"},
)


class TokenFamilyColumns(TypedColumns):
    """Columns of `oauth_token_families`."""

    id: Named[UUID] = Column(UUID_, primary_key=True)
    client_id: Named[str] = Column(TEXT)
    user_id: Named[UUID | None] = Column(UUID_, comment="null: the client itself")
    session_id: Named[UUID | None] = Column(UUID_)
    created_at: Named[datetime] = Column(INSTANT, server_default=func.now())
    expires_at: Named[datetime] = Column(
        INSTANT, comment="no token of the family lives longer"
    )
    revoked_at: Named[datetime | None] = Column(INSTANT)
    revoke_reason: Named[str | None] = Column(TEXT)


# The row that redeem, rotate and revoke lock: one referee for each family.
oauth_token_families = Table(
    "oauth_token_families",
    metadata,
    TokenFamilyColumns,
    length("client_id", 200),
    check("expires_after_creation", "expires_at > created_at"),
    together("revocation_whole", "revoked_at", "revoke_reason"),
    slug("revoke_reason"),
    Index(
        "oauth_token_families_live_by_user_idx",
        "user_id",
        postgresql_where=text("revoked_at IS NULL AND user_id IS NOT NULL"),
    ),
    Index(
        "oauth_token_families_live_by_session_idx",
        "session_id",
        postgresql_where=text("revoked_at IS NULL AND session_id IS NOT NULL"),
    ),
    Index(None, "expires_at"),
    comment="one authorisation: a code and all tokens that descend from it",
    postgresql_with={"fillfactor": "90"},
)


class IssuedTokenColumns(TypedColumns):
    """Columns of `oauth_issued_tokens`."""

    id: Named[UUID] = Column(UUID_, primary_key=True)
    token_digest: Named[bytes] = Column(
        BYTES, unique=True, comment="SHA-256 of the token, which is stored nowhere"
    )
    kind: Named[str] = Column(TEXT)
    family_id: Named[UUID] = Column(
        UUID_, ForeignKey(f"{SCHEMA}.oauth_token_families.id", ondelete="CASCADE")
    )
    generation: Named[int] = Column(
        INT, comment="0 at redemption, one more with each rotation"
    )
    client_id: Named[str] = Column(TEXT)
    user_id: Named[UUID | None] = Column(UUID_, comment="null: the client itself")
    scopes: Named[list[str]] = Column(TEXTS, server_default=text("'{}'::text[]"))
    created_at: Named[datetime] = Column(INSTANT, server_default=func.now())
    expires_at: Named[datetime] = Column(INSTANT)
    family_expires_at: Named[datetime] = Column(INSTANT)
    first_used_at: Named[datetime | None] = Column(
        INSTANT, comment="a successor's first use ends its predecessor's grace"
    )
    rotated_at: Named[datetime | None] = Column(
        INSTANT, comment="when its successor was derived; used again: reuse or grace"
    )
    revoked_at: Named[datetime | None] = Column(INSTANT)
    proof_thumbprint: Named[bytes | None] = Column(
        BYTES, comment="SHA-256 thumbprint of the proof key (RFC 7638, RFC 9449)"
    )
    derivation_key_id: Named[str | None] = Column(
        TEXT, comment="key that derives the successor; it is not in the database"
    )
    derivation_salt: Named[bytes | None] = Column(BYTES)


oauth_issued_tokens = Table(
    "oauth_issued_tokens",
    metadata,
    IssuedTokenColumns,
    UniqueConstraint("family_id", "generation", "kind"),
    digest("token_digest"),
    digest("proof_thumbprint"),
    one_of("kind", TOKEN_KINDS),
    check("generation_range", "generation >= 0"),
    length("client_id", 200),
    check("expires_after_creation", "expires_at > created_at"),
    check("expires_with_family", "expires_at <= family_expires_at"),
    together("derivation_whole", "derivation_key_id", "derivation_salt"),
    check("derivation_salt_length", "octet_length(derivation_salt) BETWEEN 16 AND 64"),
    Index(None, "family_expires_at"),
    comment="tokens that we issue, as digests; one of each kind in each generation",
    postgresql_with={"fillfactor": "80"},
)


class StateColumns(TypedColumns):
    """Columns of `oauth_state_tracking`."""

    state_digest: Named[bytes] = Column(BYTES, primary_key=True)
    provider: Named[str] = Column(TEXT)
    issuer: Named[str] = Column(
        TEXT, comment="expected iss of the answer (RFC 9207), against mix-up"
    )
    browser_binding_digest: Named[bytes] = Column(
        BYTES, comment="SHA-256 of a cookie: another browser cannot finish the flow"
    )
    nonce_digest: Named[bytes | None] = Column(BYTES)
    verifier_sealed: Named[bytes | None] = Column(
        BYTES, comment="PKCE verifier, sealed: it is sent to the provider"
    )
    sealing_key_id: Named[str | None] = Column(TEXT)
    redirect_uri: Named[str] = Column(TEXT)
    user_id: Named[UUID | None] = Column(
        UUID_, comment="who links an account; null at a login"
    )
    ip: Named[IPAddress | None] = Column(ADDRESS)
    user_agent: Named[str | None] = Column(TEXT)
    created_at: Named[datetime] = Column(INSTANT, server_default=func.now())
    expires_at: Named[datetime] = Column(INSTANT)
    consumed_at: Named[datetime | None] = Column(INSTANT)


oauth_state_tracking = Table(
    "oauth_state_tracking",
    metadata,
    StateColumns,
    digest("state_digest"),
    digest("browser_binding_digest"),
    digest("nonce_digest"),
    sealed("verifier_sealed"),
    length("provider", 100),
    length("issuer", 2048),
    length("redirect_uri", 2048),
    user_agent(),
    check(
        "lifetime",
        "expires_at > created_at AND expires_at - created_at <= interval '1 hour'",
    ),
    Index(None, "expires_at"),
    comment="logins that are away at a provider",
    postgresql_with={"fillfactor": "90"},
)


class AuthCodeColumns(TypedColumns):
    """Columns of `oauth_auth_codes`."""

    code_digest: Named[bytes] = Column(BYTES, primary_key=True)
    client_id: Named[str] = Column(TEXT)
    user_id: Named[UUID] = Column(UUID_)
    session_id: Named[UUID | None] = Column(UUID_)
    family_id: Named[UUID] = Column(
        UUID_, comment="family its tokens will have; presented twice: revoked"
    )
    redirect_uri: Named[str] = Column(TEXT)
    scopes: Named[list[str]] = Column(TEXTS, server_default=text("'{}'::text[]"))
    code_challenge: Named[bytes] = Column(
        BYTES, comment="SHA-256 of the verifier, decoded (RFC 7636 section 4.2)"
    )
    code_challenge_method: Named[str] = Column(TEXT, server_default=text("'S256'"))
    nonce: Named[str | None] = Column(
        TEXT, comment="echoed in the ID token (OpenID Connect Core, section 3.1.2.1)"
    )
    created_at: Named[datetime] = Column(INSTANT, server_default=func.now())
    expires_at: Named[datetime] = Column(INSTANT)
    consumed_at: Named[datetime | None] = Column(
        INSTANT, comment="kept, so that a second presentation is seen as a replay"
    )


oauth_auth_codes = Table(
    "oauth_auth_codes",
    metadata,
    AuthCodeColumns,
    digest("code_digest"),
    digest("code_challenge"),
    # RFC 9700 section 2.1.1: no downgrade to `plain`, not even by a fault of ours.
    check("challenge_method_s256", "code_challenge_method = 'S256'"),
    length("client_id", 200),
    length("redirect_uri", 2048),
    length("nonce", 512),
    # RFC 6749 section 4.1.2: at most ten minutes.
    check(
        "lifetime",
        "expires_at > created_at AND expires_at - created_at <= interval '10 minutes'",
    ),
    Index(None, "family_id"),
    Index(None, "expires_at"),
    comment="authorisation codes, as digests, each to be redeemed once",
    postgresql_with={"fillfactor": "90"},
)
