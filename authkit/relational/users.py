"""Users: create, find, change, disable, erase; each change with its audit entry.

An e-mail address is stored in its normalised form and found by any writing of it. Audit
entries name the user by id and never hold the address: the trail outlives an erasure.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from authkit.crypto import normalise_email
from authkit.errors import AlreadyExists, InvalidInput, NotFound
from authkit.hot import Runner, inputs, oauth_tokens, revocation
from authkit.ids import uuid7
from authkit.relational.erasure import erase
from authkit.relational.event import entity
from authkit.relational.journal import Journal
from authkit.relational.subjects import Subjects
from authkit.schema.relational import User


class Keep:
    """The type of `KEEP`: leave the column as it is (None means: empty it)."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Keep()


class Users:
    """The users, within one transaction."""

    def __init__(
        self, session: Session, journal: Journal, hot: Runner, subjects: Subjects
    ) -> None:
        self._session = session
        self._journal = journal
        self._hot = hot
        self._subjects = subjects

    def create(
        self,
        email: str,
        *,
        name: str | None = None,
        image: str | None = None,
        password_hash: str | None = None,
        email_verified: bool = False,
        user_id: UUID | None = None,
    ) -> User:
        """Add a user.

        Args:
            email: any writing of it; the normalised form is what is unique.
            name: what to call the user, up to 200 characters.
            image: URL of a picture, up to 2,048 characters.
            password_hash: in the PHC string format; argon2id is what to use. One made
                elsewhere stays as it is, bcrypt's `$2b$` too; PBKDF2 is written
                `$pbkdf2-sha256$i=600000$...$...`.
            email_verified: whether the address was proved already.
            user_id: a UUIDv7 made elsewhere; made here by default.

        Raises:
            InvalidInput: an argument is not acceptable.
            AlreadyExists: another user has this e-mail address; the transaction is
                still good.
            Conflict: the password hash is not a PHC string.
        """
        values: dict[str, object] = {
            "id": user_id or uuid7(),
            "email": normalise_email(email),
            "name": _text(name, "name", 200),
            "image": _text(image, "image", 2048),
            "password_hash": _text(password_hash, "password hash", 1000),
        }
        if email_verified:
            values["email_verified_at"] = func.clock_timestamp()
        statement = (
            insert(User)
            .values(values)
            .on_conflict_do_nothing(index_elements=[User.email])
            .returning(User)
        )
        user = self._session.scalars(statement).one_or_none()
        if user is None:
            raise AlreadyExists(
                "another user has this e-mail address", constraint="users_email_key"
            )
        self._journal.record("user.create", target=entity("user", user.id))
        return user

    def find(self, user_id: UUID) -> User | None:
        """Return the user of an id, erased and disabled ones too."""
        return self._session.get(User, inputs.identifier(user_id, "user id"))

    def get(self, user_id: UUID) -> User:
        """Return the user of an id.

        Raises:
            NotFound: there is none.
        """
        user = self.find(user_id)
        if user is None:
            raise NotFound("there is no such user")
        return user

    def find_by_email(self, email: str) -> User | None:
        """Return the user of an e-mail address in any writing.

        Raises:
            InvalidInput: the address is empty, too long or not printable.
        """
        statement = select(User).where(User.email == normalise_email(email))
        return self._session.scalars(statement).one_or_none()

    def page(self, *, after: User | None = None, limit: int = 100) -> list[User]:
        """Return users from the oldest on, in pages: hand the last one back.

        Raises:
            InvalidInput: the limit is not between 1 and 1,000.
        """
        statement = (
            select(User)
            .order_by(User.created_at, User.id)
            .limit(inputs.count(limit, "limit", low=1, high=1000))
        )
        if after is not None:
            key = tuple_(User.created_at, User.id)
            statement = statement.where(key > (after.created_at, after.id))
        return list(self._session.scalars(statement))

    def update(
        self,
        user_id: UUID,
        *,
        email: str | Keep = KEEP,
        name: str | Keep | None = KEEP,
        image: str | Keep | None = KEEP,
        password_hash: str | Keep | None = KEEP,
        email_verified_at: datetime | Keep | None = KEEP,
    ) -> User:
        """Change what is given and return the user; a new address is unverified.

        A password hash of None takes the password away, be it the last way in or not:
        who was locked out of it comes back by a new one. (`accounts.unlink` and
        `credentials.retire` refuse the last way.)

        Raises:
            InvalidInput: an argument is not acceptable, or nothing is to be changed.
            NotFound: there is no such user, or the user was erased.
            AlreadyExists: another user has this e-mail address; the transaction is
                lost.
        """
        changes: dict[str, object] = {}
        if not isinstance(email, Keep):
            changes["email"] = normalise_email(email)
            changes["email_verified_at"] = None
        if not isinstance(name, Keep):
            changes["name"] = _text(name, "name", 200)
        if not isinstance(image, Keep):
            changes["image"] = _text(image, "image", 2048)
        if not isinstance(password_hash, Keep):
            changes["password_hash"] = _text(password_hash, "password hash", 1000)
        if not isinstance(email_verified_at, Keep):
            changes["email_verified_at"] = email_verified_at
        if not changes:
            raise InvalidInput("nothing to change was given")
        user = self._change(user_id, changes)
        # Which columns, never their content: it would stay in the chain for good.
        self._journal.record(
            "user.update",
            target=entity("user", user.id),
            details={"changed": sorted(changes)},
        )
        return user

    def disable(self, user_id: UUID, *, reason: str = "disabled") -> User:
        """Shut a user out: no login, no permission, every session and token revoked.

        (ASVS v5, 7.4.2.)

        Disabling one that is disabled already changes nothing and is not an error.

        Raises:
            InvalidInput: the reason is not one lower-case word.
            NotFound: there is no such user.
        """
        inputs.slug(reason, "reason")
        statement = (
            update(User)
            .where(User.id == user_id, User.disabled_at.is_(None))
            .values(disabled_at=func.clock_timestamp())
            .returning(User)
        )
        user = self._session.scalars(statement, execution_options=_FRESH).one_or_none()
        if user is None:
            return self.get(user_id)
        ended = self._hot.fetch_all(revocation.REVOKE_USER, (user_id, None, reason))
        self._hot.fetch_all(oauth_tokens.REVOKE_USER, (user_id, reason))
        self._journal.record(
            "user.disable",
            target=entity("user", user.id),
            details={"reason": reason, "sessions_ended": len(ended)},
        )
        return user

    def enable(self, user_id: UUID) -> User:
        """Let a disabled user in again; the sessions that were revoked stay so.

        Enabling one who is not disabled changes nothing and is not an error.

        Raises:
            NotFound: there is no such user.
            InvalidInput: the user was erased, and stays shut out.
        """
        statement = (
            update(User)
            .where(
                User.id == inputs.identifier(user_id, "user id"),
                User.erased_at.is_(None),
                User.disabled_at.is_not(None),
            )
            .values(disabled_at=None)
            .returning(User)
        )
        user = self._session.scalars(statement, execution_options=_FRESH).one_or_none()
        if user is None:
            user = self.get(user_id)
            self._session.refresh(user)
            if user.erased_at is not None:
                raise InvalidInput("an erased user cannot be enabled")
            return user
        self._journal.record("user.enable", target=entity("user", user.id))
        return user

    def erase(self, user_id: UUID) -> User:
        """Remove what is personal of a user, for good (`authkit.relational.erasure`).

        Erasing one that is erased already changes nothing and is not an error.

        Raises:
            NotFound: there is no such user.
        """
        inputs.identifier(user_id, "user id")
        user = erase(self._session, self._hot, user_id)
        if user is None:
            return self.get(user_id)
        self._subjects.destroy(user_id)
        self._journal.record("user.erase", target=entity("user", user_id))
        return user

    def _change(self, user_id: UUID, changes: dict[str, object]) -> User:
        statement = (
            update(User)
            .where(User.id == user_id, User.erased_at.is_(None))
            .values(changes)
            .returning(User)
        )
        user = self._session.scalars(statement, execution_options=_FRESH).one_or_none()
        if user is None:
            raise NotFound("there is no such user")
        return user


_FRESH = {"populate_existing": True}


def _text(value: str | None, what: str, limit: int) -> str | None:
    return None if value is None else inputs.text(value, what, limit=limit)
