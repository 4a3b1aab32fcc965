"""Tokens of upstream providers: sealed by the client, so that SQL never sees one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from authkit.hot.operation import AnyOperation, Intent, Operation

MAX_TOKEN_CHARS = 16_384


@dataclass(slots=True)
class SealedTokens:
    """What a provider gave for one account of a user, sealed."""

    user_id: UUID
    provider: str
    provider_account_id: str
    access_token_sealed: bytes = field(repr=False)
    refresh_token_sealed: bytes | None = field(repr=False)
    id_token_sealed: bytes | None = field(repr=False)
    expires_at: datetime | None
    token_type: str
    scope: str | None
    session_state: str | None
    updated_at: datetime


@dataclass(slots=True)
class StoredAt:
    """When tokens were stored: what a later replacement of them names."""

    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """What a provider gave for one account of a user; no repr shows a token."""

    provider: str
    provider_account_id: str
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    expires_at: datetime | None
    token_type: str
    scope: str | None
    session_state: str | None
    updated_at: datetime


# The share lock makes an erasure wait, which then finds the row; or this waits for it,
# and nothing comes back. A provider that sends no new refresh or ID token means the old
# one to be kept (RFC 6749, section 6); where another key sealed it, the row names none:
# no key is called '', so that resealing finds it, whichever of them is active.
PUT: Final = Operation(
    name="oauth_providers.put",
    sql="""
    WITH owner AS MATERIALIZED (
      SELECT id FROM authkit.users
      WHERE id = $1 AND erased_at IS NULL
      FOR KEY SHARE
    )
    INSERT INTO authkit.oauth_token_cache AS t (
      user_id, provider, provider_account_id, access_token_sealed, refresh_token_sealed,
      id_token_sealed, sealing_key_id, expires_at, token_type, scope, session_state,
      updated_at)
    SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp()
    FROM owner
    WHERE $12::timestamptz IS NULL OR EXISTS (
      SELECT 1 FROM authkit.oauth_token_cache
      WHERE user_id = $1 AND provider = $2 AND provider_account_id = $3)
    ON CONFLICT (user_id, provider, provider_account_id) DO UPDATE
    SET access_token_sealed = excluded.access_token_sealed,
        refresh_token_sealed =
          coalesce(excluded.refresh_token_sealed, t.refresh_token_sealed),
        id_token_sealed = coalesce(excluded.id_token_sealed, t.id_token_sealed),
        sealing_key_id = CASE
          WHEN t.sealing_key_id <> excluded.sealing_key_id AND (
            (excluded.refresh_token_sealed IS NULL
               AND t.refresh_token_sealed IS NOT NULL)
            OR (excluded.id_token_sealed IS NULL AND t.id_token_sealed IS NOT NULL))
          THEN '' ELSE excluded.sealing_key_id END,
        expires_at = excluded.expires_at, token_type = excluded.token_type,
        scope = coalesce(excluded.scope, t.scope),
        session_state = coalesce(excluded.session_state, t.session_state),
        updated_at = excluded.updated_at
    WHERE $12 IS NULL OR t.updated_at = $12
    RETURNING updated_at
    """,
    parameters=(
        "user_id",
        "provider",
        "provider_account_id",
        "access_token_sealed",
        "refresh_token_sealed",
        "id_token_sealed",
        "sealing_key_id",
        "expires_at",
        "token_type",
        "scope",
        "session_state",
        "replacing",
    ),
    types=(
        "uuid",
        "text",
        "text",
        "bytea",
        "bytea",
        "bytea",
        "text",
        "timestamptz",
        "text",
        "text",
        "text",
        "timestamptz",
    ),
    row=StoredAt,
    intent=Intent.WRITE,
    idempotent=False,
)

OF_USER: Final = Operation(
    name="oauth_providers.of_user",
    sql="""
    SELECT user_id, provider, provider_account_id, access_token_sealed,
           refresh_token_sealed, id_token_sealed, expires_at, token_type, scope,
           session_state, updated_at
    FROM authkit.oauth_token_cache
    WHERE user_id = $1 AND ($2::text IS NULL OR provider = $2)
    ORDER BY provider, provider_account_id
    """,
    parameters=("user_id", "provider"),
    types=("uuid", "text"),
    row=SealedTokens,
    intent=Intent.READ,
    idempotent=True,
)

DELETE: Final[Operation[None]] = Operation(
    name="oauth_providers.delete",
    sql="""
    DELETE FROM authkit.oauth_token_cache
    WHERE user_id = $1 AND provider = $2
      AND ($3::text IS NULL OR provider_account_id = $3)
    """,
    parameters=("user_id", "provider", "provider_account_id"),
    types=("uuid", "text", "text"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

# Two ranges and no `<>`, and each in its order: so that the index serves them, whatever
# the planner thinks of how many there are.
SEALED_BY_OTHERS: Final = Operation(
    name="oauth_providers.sealed_by_others",
    sql="""
    (SELECT user_id, provider, provider_account_id, access_token_sealed,
            refresh_token_sealed, id_token_sealed, expires_at, token_type, scope,
            session_state, updated_at
     FROM authkit.oauth_token_cache
     WHERE sealing_key_id < $1
     ORDER BY sealing_key_id LIMIT $2)
    UNION ALL
    (SELECT user_id, provider, provider_account_id, access_token_sealed,
            refresh_token_sealed, id_token_sealed, expires_at, token_type, scope,
            session_state, updated_at
     FROM authkit.oauth_token_cache
     WHERE sealing_key_id > $1
     ORDER BY sealing_key_id LIMIT $2)
    LIMIT $2
    """,
    parameters=("sealing_key_id", "limit"),
    types=("text", "int8"),
    row=SealedTokens,
    intent=Intent.READ,
    idempotent=True,
)

# Only where nobody stored others meanwhile.
RESEAL: Final[Operation[None]] = Operation(
    name="oauth_providers.reseal",
    sql="""
    UPDATE authkit.oauth_token_cache
    SET access_token_sealed = $5, refresh_token_sealed = $6, id_token_sealed = $7,
        sealing_key_id = $8
    WHERE user_id = $1 AND provider = $2 AND provider_account_id = $3
      AND access_token_sealed = $4
    """,
    parameters=(
        "user_id",
        "provider",
        "provider_account_id",
        "old_access_token_sealed",
        "access_token_sealed",
        "refresh_token_sealed",
        "id_token_sealed",
        "sealing_key_id",
    ),
    types=("uuid", "text", "text", "bytea", "bytea", "bytea", "bytea", "text"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    PUT,
    OF_USER,
    DELETE,
    SEALED_BY_OTHERS,
    RESEAL,
)
