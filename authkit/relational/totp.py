"""One-time codes by time as a second factor: enrol or take over, use, take away.

A secret is proposed, shown once, and in use only when a code of it was confirmed; until
then the one from before stays good. It is kept sealed under the kit's ring and bound to
its user. No code is good twice, nor one older than the last (RFC 6238, section 5.2).
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from authkit.crypto import KeyRing
from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.relational import one_time
from authkit.relational.event import entity
from authkit.relational.journal import Journal
from authkit.relational.presence import hold
from authkit.relational.resealing import sealed_by_older
from authkit.schema.columns import INSTANT
from authkit.schema.relational import BackupCode, User, UserTotp

PROPOSAL_GOOD_FOR: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class TotpProposal:
    """A secret to be taken over by an authenticator; shown this once, in no repr.

    `address` is for a QR code, `secret` (base32) for who types it.
    """

    secret: str = field(repr=False)
    address: str = field(repr=False)


class Totp:
    """The users' authenticators, within one transaction."""

    def __init__(
        self, session: Session, journal: Journal, keys: Callable[[], KeyRing]
    ) -> None:
        self._session = session
        self._journal = journal
        self._keys = keys

    def propose(self, user_id: UUID, *, issuer: str) -> TotpProposal:
        """Make a secret, to be confirmed within 15 minutes; an earlier proposal ends.

        Args:
            user_id: whose.
            issuer: what the authenticator shall call the service.

        Raises:
            InvalidInput: the issuer is empty, too long, or has a colon.
            NotFound: there is no such user, or the user was erased; the transaction
                is still good.
            ConfigError: there is no key to seal with.
        """
        inputs.text(issuer, "issuer", limit=100)
        if ":" in issuer:
            raise InvalidInput("the issuer has a colon, which ends it")
        ring = self._keys()
        hold(self._session, user_id, alone=True)
        secret = one_time.new_secret()
        proposed: dict[str, object] = {
            "proposed_sealed": ring.seal(secret, context=_proposal(user_id)),
            "sealing_key_id": ring.active_id,
            "proposed_at": func.clock_timestamp(),
        }
        self._session.execute(
            insert(UserTotp)
            .values(user_id=user_id, **proposed)
            .on_conflict_do_update(index_elements=[UserTotp.user_id], set_=proposed)
        )
        self._journal.record("totp.propose", target=entity("user", user_id))
        account = self._session.scalars(
            select(User.email).where(User.id == user_id)
        ).one()
        return TotpProposal(
            b32encode(secret).decode(),
            one_time.address(secret, issuer=issuer, account=account),
        )

    def confirm(self, user_id: UUID, code: str) -> bool:
        """Take the proposed secret into use; False where the code is not its code.

        False as well where there is nothing to confirm, or not any more. From the
        commit on a login asks for a code (`mfa_enabled`), and cached answers about the
        user are stale.

        Raises:
            InvalidInput: it cannot be a code; the message does not repeat it.
            NotFound: there is no such user, or the user was erased.
            ConfigError: the key that sealed the proposal is not in the ring.
        """
        code = one_time.typed(code)
        hold(self._session, user_id, alone=True)
        now = func.clock_timestamp(type_=INSTANT)
        found = self._session.execute(
            select(UserTotp.proposed_sealed, now.label("at")).where(
                UserTotp.user_id == user_id,
                UserTotp.proposed_at > now - PROPOSAL_GOOD_FOR,
            )
        ).one_or_none()
        if found is None or found.proposed_sealed is None:
            return False
        ring = self._keys()
        secret = ring.open(found.proposed_sealed, context=_proposal(user_id))
        step = one_time.matching_step(secret, code, found.at)
        if step is None:
            return False
        self._session.execute(
            update(UserTotp)
            .where(UserTotp.user_id == user_id)
            .values(**_NOTHING_PROPOSED, enrolled_at=now, last_step=step)
        )
        self._change(user_id, **_in_use(ring, user_id, secret))
        self._journal.record("totp.confirm", target=entity("user", user_id))
        return True

    def adopt(self, user_id: UUID, secret: str | bytes) -> bool:
        """Take over the secret of an authenticator that another system enrolled.

        It is in use from the commit on, as after `confirm`; a proposal ends. False
        where the user has a secret already: nothing is changed, so that a migration may
        be run again. A code of the present time step or before counts as used, for it
        may have been used there.

        Args:
            user_id: whose.
            secret: its bytes, or base32 with or without spaces, hyphens and padding; 10
                to 64 bytes, of codes by SHA-1 with six digits every thirty seconds.

        Raises:
            InvalidInput: it cannot be a secret; the message does not repeat it.
            NotFound: there is no such user, or the user was erased.
            ConfigError: there is no key to seal with.
        """
        raw, ring = one_time.written_secret(secret), self._keys()
        hold(self._session, user_id, alone=True)
        without = User.totp_secret_sealed.is_(None)
        if not self._change(user_id, without, **_in_use(ring, user_id, raw)):
            return False
        at = self._session.scalars(select(func.clock_timestamp(type_=INSTANT))).one()
        enrolled: dict[str, object] = {
            **_NOTHING_PROPOSED,
            "enrolled_at": at,
            "last_step": one_time.step_of(at),
        }
        self._session.execute(
            insert(UserTotp)
            .values(user_id=user_id, **enrolled)
            .on_conflict_do_update(index_elements=[UserTotp.user_id], set_=enrolled)
        )
        self._journal.record("totp.adopt", target=entity("user", user_id))
        return True

    def redeem(self, user_id: UUID, code: str) -> bool:
        """Take a code, once however many present it; False where it is wrong or used.

        The code of the time step before or after this one is good too, by the server's
        clock. Reserve an attempt (`hot.attempts.reserve`) before it is asked: that
        counts the guesses, and is the record of each use; whether the user is locked
        or disabled is the login's to say. The code is spent by the commit: let the
        user in after it.

        Raises:
            InvalidInput: it cannot be a code; the message does not repeat it.
            ConfigError: the key that sealed the secret is not in the ring.
        """
        code = one_time.typed(code)
        found = self._session.execute(
            select(
                User.totp_secret_sealed,
                UserTotp.enrolled_at,
                func.clock_timestamp(type_=INSTANT).label("at"),
            )
            .join(UserTotp, UserTotp.user_id == User.id)
            .where(User.id == inputs.identifier(user_id, "user id"))
        ).one_or_none()
        if found is None or found.totp_secret_sealed is None:
            return False
        secret = self._keys().open(found.totp_secret_sealed, context=_context(user_id))
        step = one_time.matching_step(secret, code, found.at)
        if step is None:
            return False
        # One guarded UPDATE is the referee, also against who enrols anew meanwhile.
        statement = (
            update(UserTotp)
            .where(
                UserTotp.user_id == user_id,
                UserTotp.enrolled_at == found.enrolled_at,
                UserTotp.last_step < step,
            )
            .values(last_step=step)
            .returning(UserTotp.user_id)
            .execution_options(synchronize_session=False)
        )
        return self._session.scalar(statement) is not None

    def disable(self, user_id: UUID) -> bool:
        """Take the second factor away, backup codes with it; False where there is none.

        A login asks for a code no more. What is proposed ends as well. To end sessions
        that are open too: `hot.sessions.revoke_all`.

        Raises:
            NotFound: there is no such user, or the user was erased.
        """
        hold(self._session, user_id, alone=True)
        for table in (UserTotp, BackupCode):
            self._session.execute(delete(table).where(table.user_id == user_id))
        asked = or_(User.mfa_enabled, User.totp_secret_sealed.is_not(None))
        if not self._change(
            user_id,
            asked,
            mfa_enabled=False,
            totp_secret_sealed=None,
            sealing_key_id=None,
        ):
            return False
        self._journal.record("totp.disable", target=entity("user", user_id))
        return True

    def reseal(self, *, limit: int = 1000) -> int:
        """Seal under the ring's active key what an older one sealed; returns how many.

        Repeat while it returns anything, once every process seals with the active key;
        then the older one may leave the ring, 15 minutes after it sealed the last
        proposal. Rows that others hold come last, and are waited for one by one: end
        the transaction after each call.

        Raises:
            InvalidInput: the limit is not between 1 and 10,000, or a value is damaged.
            ConfigError: an older key is not in the ring any more.
        """
        ring = self._keys()
        found = sealed_by_older(
            self._session, User, User.id, User.sealing_key_id, ring, limit
        )
        for user in found:
            if user.totp_secret_sealed is not None:
                user.totp_secret_sealed = ring.reseal(
                    user.totp_secret_sealed, context=_context(user.id)
                )
            user.sealing_key_id = ring.active_id
        self._session.flush()
        return len(found)

    def _change(
        self, user_id: UUID, *only: ColumnElement[bool], **values: object
    ) -> bool:
        # Triggers raise authz_version: what caches hold about the user is stale.
        changed = self._session.scalars(
            update(User)
            .where(User.id == user_id, *only)
            .values(**values)
            .returning(User),
            execution_options={"populate_existing": True},
        )
        return changed.one_or_none() is not None


_NOTHING_PROPOSED: Final[dict[str, None]] = {
    "proposed_sealed": None,
    "sealing_key_id": None,
    "proposed_at": None,
}


def _in_use(ring: KeyRing, user_id: UUID, secret: bytes) -> dict[str, object]:
    return {
        "mfa_enabled": True,
        "totp_secret_sealed": ring.seal(secret, context=_context(user_id)),
        "sealing_key_id": ring.active_id,
    }


def _context(user_id: UUID) -> bytes:
    return f"users/{user_id}/totp_secret".encode()


def _proposal(user_id: UUID) -> bytes:
    return f"user_totp/{user_id}/proposed".encode()
