"""Backup codes: for the day the second factor is lost, each good once.

A code has 120 random bits, so that its digest needs no slow hash (OWASP ASVS v5, 6.5.1
to 6.5.3). They are a second factor and no way in by themselves. Codes that another
system made are not taken over: most are so short that such a digest tells them.
"""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256
from secrets import token_bytes
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.relational.event import entity
from authkit.relational.journal import Journal
from authkit.relational.presence import hold
from authkit.schema.relational import BackupCode

MAX_CODES = 50
_CODE_BYTES = 15
_GROUP_CHARS = 6
_TYPED = re.compile(r"(?:[A-Za-z2-7][- ]*){24}", re.ASCII)


class BackupCodes:
    """The backup codes of users, within one transaction."""

    def __init__(self, session: Session, journal: Journal) -> None:
        self._session = session
        self._journal = journal

    def replace(self, user_id: UUID, *, count: int = 10) -> tuple[str, ...]:
        """Make new codes, shown this once; those from before are good no more.

        They are good from the commit on: show them after it. Of two who make codes at
        once the second one's are those that are good.

        Raises:
            InvalidInput: the count is not 1 to 50.
            NotFound: there is no such user, or the user was erased; the transaction
                is still good.
        """
        inputs.count(count, "number of backup codes", low=1, high=MAX_CODES)
        hold(self._session, user_id, alone=True)
        codes = tuple(_new() for _ in range(count))
        self._session.execute(delete(BackupCode).where(BackupCode.user_id == user_id))
        self._session.execute(
            insert(BackupCode),
            [{"user_id": user_id, "code_digest": _digest(code)} for code in codes],
        )
        self._journal.record(
            "backup_codes.replace",
            target=entity("user", user_id),
            details={"count": count},
        )
        return codes

    def redeem(self, user_id: UUID, code: str) -> bool:
        """Take a code, once however many present it; False where it is wrong or used.

        One guarded UPDATE is the referee. The code is spent by the commit, and is good
        still where the transaction is rolled back: let the user in after it. Reserve an
        attempt (`hot.attempts.reserve`) before it is asked; whether the user is locked
        or disabled is the login's to say.

        Args:
            user_id: whose code it should be.
            code: as it was typed, in any case, with or without `-` and spaces.

        Raises:
            InvalidInput: it cannot be a code; the message does not repeat it.
        """
        statement = (
            update(BackupCode)
            .where(
                BackupCode.user_id == inputs.identifier(user_id, "user id"),
                BackupCode.code_digest == _digest(code),
                BackupCode.used_at.is_(None),
            )
            .values(used_at=func.clock_timestamp())
            .returning(BackupCode.user_id)
            .execution_options(synchronize_session=False)
        )
        if self._session.scalar(statement) is None:
            return False
        self._journal.record("backup_codes.redeem", target=entity("user", user_id))
        return True

    def left(self, user_id: UUID) -> int:
        """Return how many of a user's codes are good still; 0 for whom there are none.

        Raises:
            InvalidInput: the id is not a UUID.
        """
        statement = select(func.count()).where(
            BackupCode.user_id == inputs.identifier(user_id, "user id"),
            BackupCode.used_at.is_(None),
        )
        return self._session.scalar(statement) or 0


def _new() -> str:
    letters = b32encode(token_bytes(_CODE_BYTES)).decode().lower()
    groups = range(0, len(letters), _GROUP_CHARS)
    return "-".join(letters[start : start + _GROUP_CHARS] for start in groups)


def _digest(code: str) -> bytes:
    """Return the digest of a code, however it was typed."""
    # A type checker's absence is no reason to fail later, and less clearly.
    if not isinstance(code, str) or _TYPED.fullmatch(code.strip()) is None:  # pyright: ignore[reportUnnecessaryIsInstance] # callers without a type checker
        raise InvalidInput("a backup code has 24 letters a to z and digits 2 to 7")
    letters = code.replace("-", "").replace(" ", "").strip().lower()
    return sha256(letters.encode()).digest()
