"""What `authkit db maintain` deletes beside the tables' own purges, in batches."""

from __future__ import annotations

from typing import Final

from authkit.hot.operation import AnyOperation, Intent, Operation

# Rows that came at a time without a partition; those of partitions go with them. Nobody
# settles an attempt so old, so there is nobody to skip.
STRAY_ATTEMPTS: Final[Operation[None]] = Operation(
    name="attempts.purge",
    sql="""
    DELETE FROM authkit.auth_attempts
    WHERE (occurred_at, id) IN (
      SELECT occurred_at, id FROM authkit.auth_attempts
      WHERE occurred_at < date_trunc('day', now() - $1::interval, 'UTC')
      LIMIT $2)
    """,
    parameters=("keep", "limit"),
    types=("interval", "int8"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

# Counted from the session's end; the first condition is for the index.
RECORDS: Final[Operation[None]] = Operation(
    name="sessions.purge_records",
    sql="""
    DELETE FROM authkit.sessions
    WHERE id = ANY (ARRAY(
      SELECT id FROM authkit.sessions
      WHERE created_at < now() - $1::interval AND expires_at < now() - $1::interval
      LIMIT $2
      FOR UPDATE SKIP LOCKED))
    """,
    parameters=("keep", "limit"),
    types=("interval", "int8"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

WRITE_KEYS: Final[Operation[None]] = Operation(
    name="write_keys.purge",
    sql="""
    DELETE FROM authkit.write_keys
    WHERE key = ANY (ARRAY(
      SELECT key FROM authkit.write_keys
      WHERE created_at < now() - $1::interval
      LIMIT $2
      FOR UPDATE SKIP LOCKED))
    """,
    parameters=("keep", "limit"),
    types=("interval", "int8"),
    row=None,
    intent=Intent.WRITE,
    idempotent=True,
)

# Of accounts that nobody refreshed for so long.
PROVIDER_TOKENS: Final[Operation[None]] = Operation(
    name="oauth_providers.purge",
    sql="""
    DELETE FROM authkit.oauth_token_cache
    WHERE (user_id, provider, provider_account_id) IN (
      SELECT user_id, provider, provider_account_id FROM authkit.oauth_token_cache
      WHERE updated_at < now() - $1::interval
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
    STRAY_ATTEMPTS,
    RECORDS,
    WRITE_KEYS,
    PROVIDER_TOKENS,
)
