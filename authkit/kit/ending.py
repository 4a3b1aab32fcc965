"""How a login ends, as parameters of the statements that end it. Pure."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

from authkit.hot import CachedLogin
from authkit.kit.login_values import Begun
from authkit.schema.vocabulary import AttemptOutcome


def claim(login: Begun, user: CachedLogin) -> tuple[object, ...]:
    """Return the parameters of `logins.claim`: the user as `begin` showed them."""
    password = user.password_hash
    return (
        login.key.occurred_at,
        login.key.id,
        user.user_id,
        None if password is None else sha256(password.encode()).digest(),
        user.mfa_enabled,
    )


def settle(
    login: Begun,
    outcome: AttemptOutcome,
    reason: str | None,
    *,
    session_id: UUID | None = None,
) -> tuple[object, ...]:
    """Return the parameters of `logins.settle`."""
    score, user = login.score, login.user
    kept = (None, None, None, None)
    if score is not None:
        kept = (score.value, score.model, score.version, score.as_features())
    return (
        login.key.occurred_at,
        login.key.id,
        outcome,
        reason,
        None if user is None else user.user_id,
        session_id,
        *kept,
        list(login.reserved.forgive),
    )
