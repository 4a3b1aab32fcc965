"""Session records: what is remembered of a session, by its id.

They are written by the hot layer, in the statement that creates, rotates or ends a
session; here they are read. To end a session, end the hot row: `hot.sessions.revoke`.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from authkit.hot import inputs
from authkit.schema.relational import UserSession


class SessionRecords:
    """The session records, within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, session_id: UUID) -> UserSession | None:
        """Return the record of a session, ended or not."""
        return self._session.get(
            UserSession, inputs.identifier(session_id, "session id")
        )

    def page(
        self,
        user_id: UUID,
        *,
        before: UserSession | None = None,
        ended: bool | None = None,
        limit: int = 100,
    ) -> list[UserSession]:
        """Return a user's records, the newest first, in pages: hand the last one back.

        Args:
            user_id: whose.
            before: the last one of the page before.
            ended: only those that were ended, or that were not; None: both. One that
                ran out of time was not ended by anybody.
            limit: of the page, 1 to 1,000.

        Raises:
            InvalidInput: the limit is out of range.
        """
        statement = (
            select(UserSession)
            .where(UserSession.user_id == inputs.identifier(user_id, "user id"))
            .order_by(UserSession.created_at.desc(), UserSession.id.desc())
            .limit(inputs.count(limit, "limit", low=1, high=1000))
        )
        if ended is not None:
            at = UserSession.ended_at
            statement = statement.where(at.is_not(None) if ended else at.is_(None))
        if before is not None:
            place = tuple_(UserSession.created_at, UserSession.id)
            statement = statement.where(place < (before.created_at, before.id))
        return list(self._session.scalars(statement))
