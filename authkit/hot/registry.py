"""Every operation of the hot path, by name.

Tests prove each one against the migrated schema (columns, types, plans); benchmarks,
cost budgets and metrics walk the same tuple.
"""

from __future__ import annotations

from typing import Final

from authkit.hot import (
    attempts,
    auth_cache,
    batches,
    oauth_codes,
    oauth_providers,
    oauth_rotation,
    oauth_states,
    oauth_tokens,
    rate_limits,
    relaxed,
    reservations,
    retention,
    revocation,
    session_views,
    sessions,
)
from authkit.hot.operation import AnyOperation

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    *sessions.OPERATIONS,
    *revocation.OPERATIONS,
    *session_views.OPERATIONS,
    *attempts.OPERATIONS,
    *reservations.OPERATIONS,
    *rate_limits.OPERATIONS,
    *auth_cache.OPERATIONS,
    *oauth_states.OPERATIONS,
    *oauth_codes.OPERATIONS,
    *oauth_tokens.OPERATIONS,
    *oauth_rotation.OPERATIONS,
    *batches.OPERATIONS,
    *relaxed.OPERATIONS,
    *retention.OPERATIONS,
    *oauth_providers.OPERATIONS,
)

BY_NAME: Final[dict[str, AnyOperation]] = {op.name: op for op in OPERATIONS}
