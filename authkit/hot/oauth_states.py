"""Logins that are away at a provider: one row each, good for one return.

The row is found by the digest of `state`, and only together with the digest of a cookie
that the browser which began the login holds (RFC 6749 section 10.12, RFC 9700 section
4.7). What is asked of the provider's answer (issuer, nonce) stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from authkit.hot.expiring import purge
from authkit.hot.operation import AnyOperation, Intent, Operation


@dataclass(slots=True)
class CreatedState:
    """When a login that was begun must be back."""

    expires_at: datetime


@dataclass(slots=True)
class StateRow:
    """What was remembered of a login; its verifier is sealed."""

    provider: str
    issuer: str
    nonce_digest: bytes | None
    verifier_sealed: bytes | None = field(repr=False)
    redirect_uri: str
    user_id: UUID | None


CREATE: Final = Operation(
    name="oauth_states.create",
    sql="""
    INSERT INTO authkit.oauth_state_tracking (
      state_digest, browser_binding_digest, provider, issuer, nonce_digest,
      verifier_sealed, sealing_key_id, redirect_uri, user_id, ip, user_agent,
      created_at, expires_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, t.at, t.at + $12
    FROM (SELECT clock_timestamp() AS at) AS t
    RETURNING expires_at
    """,
    parameters=(
        "state_digest",
        "browser_binding_digest",
        "provider",
        "issuer",
        "nonce_digest",
        "verifier_sealed",
        "sealing_key_id",
        "redirect_uri",
        "user_id",
        "ip",
        "user_agent",
        "lifetime",
    ),
    types=(
        "bytea",
        "bytea",
        "text",
        "text",
        "bytea",
        "bytea",
        "text",
        "text",
        "uuid",
        "inet",
        "text",
        "interval",
    ),
    row=CreatedState,
    intent=Intent.WRITE,
    idempotent=False,
)

# One guarded update: of many who return with one state one is let in. A wrong cookie
# burns nothing, or a stranger who saw the state could keep its owner out.
CONSUME: Final = Operation(
    name="oauth_states.consume",
    sql="""
    UPDATE authkit.oauth_state_tracking
    SET consumed_at = clock_timestamp()
    WHERE state_digest = $1
      AND browser_binding_digest = $2
      AND consumed_at IS NULL
      AND expires_at > clock_timestamp()
    RETURNING provider, issuer, nonce_digest, verifier_sealed, redirect_uri, user_id
    """,
    parameters=("state_digest", "browser_binding_digest"),
    types=("bytea", "bytea"),
    row=StateRow,
    intent=Intent.WRITE,
    idempotent=False,
)

PURGE: Final = purge("oauth_states.purge", "oauth_state_tracking", "state_digest")

OPERATIONS: Final[tuple[AnyOperation, ...]] = (CREATE, CONSUME, PURGE)
