"""Erasing a user: what is personal goes, what is evidence stays and names nobody.

The row of the user stays under an address that belongs to nobody (RFC 2606), so that
whatever refers to it still does; so do its credentials, retired and nameless, so that
their ids are not taken again. Audit entries name people by id, so they stay as they
are and the chain verifies, with the address and user agent of whoever acted, which
its links cover; what was sealed for the subject loses its key
(`authkit.relational.subjects`). Attempts keep their keyed hashes and addresses until
their retention ends: they are what shows an attack, and who erased an account may have
been the attacker.
"""

from __future__ import annotations

from secrets import token_hex
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlalchemy.orm import Session

from authkit.hot import Runner, auth_cache, oauth_tokens, revocation
from authkit.schema.hot import (
    active_sessions,
    oauth_state_tracking,
    oauth_token_cache,
)
from authkit.schema.relational import (
    Account,
    BackupCode,
    User,
    UserRole,
    UserSession,
    UserTotp,
    WebauthnCredential,
)
from authkit.schema.risk import risk_logins, risk_user_counts, risk_users

_REASON = "erased"


def erase(session: Session, hot: Runner, user_id: UUID) -> User | None:
    """Remove what is personal of a user; None where there is nobody to erase."""
    erased = update(User).where(User.id == user_id, User.erased_at.is_(None))
    user = session.scalars(
        erased.values(
            # Nobody can foresee it: who took it before would keep this from happening.
            email=f"{user_id}.{token_hex(16)}@erased.invalid",
            email_verified_at=None,
            name=None,
            image=None,
            password_hash=None,
            mfa_enabled=False,
            totp_secret_sealed=None,
            sealing_key_id=None,
            last_login_at=None,
            last_login_ip=None,
            risk_score=None,
            disabled_at=func.coalesce(User.disabled_at, func.clock_timestamp()),
            erased_at=func.clock_timestamp(),
        ).returning(User),
        execution_options={"populate_existing": True},
    ).one_or_none()
    if user is None:
        return None
    hot.fetch_all(revocation.REVOKE_USER, (user_id, None, _REASON))
    hot.fetch_all(oauth_tokens.REVOKE_USER, (user_id, _REASON))
    hot.execute(auth_cache.INVALIDATE, (user_id,))
    for table in (Account, BackupCode, UserRole, UserTotp):
        session.execute(delete(table).where(table.user_id == user_id))
    # Of logins away at a provider there are those of a day, and no index by user.
    for away in (oauth_token_cache, oauth_state_tracking):
        session.execute(delete(away).where(away.c.user_id == user_id))
    # What the user was counted by goes; the counts over everybody name nobody.
    for counted in (risk_logins, risk_user_counts, risk_users):
        session.execute(delete(counted).where(counted.c.user_id == user_id))
    session.execute(
        update(active_sessions)
        .where(active_sessions.c.user_id == user_id)
        .values(ip=None, country=None, user_agent=None, device_fingerprint=None)
    )
    session.execute(
        update(UserSession)
        .where(UserSession.user_id == user_id)
        .values(ip=None, user_agent=None, device_info={})
    )
    session.execute(
        update(WebauthnCredential)
        .where(WebauthnCredential.user_id == user_id)
        .values(
            name=None,
            attestation_object=None,
            attestation_client_data=None,
            retired_at=func.coalesce(
                WebauthnCredential.retired_at, func.clock_timestamp()
            ),
        )
    )
    return user
