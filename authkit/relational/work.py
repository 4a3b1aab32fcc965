"""Every repository of one transaction, of both layers."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from authkit.crypto import KeyRing
from authkit.hot import Hot, Runner
from authkit.relational.accounts import Accounts
from authkit.relational.audit import Audit
from authkit.relational.backup_codes import BackupCodes
from authkit.relational.credentials import Credentials
from authkit.relational.journal import Journal, Origin
from authkit.relational.permissions import Permissions
from authkit.relational.records import SessionRecords
from authkit.relational.roles import Roles
from authkit.relational.subjects import Subjects
from authkit.relational.totp import Totp
from authkit.relational.users import Users


class Work:
    """What a transaction can do. It never commits: the unit of work does.

    `session` is SQLAlchemy's, for what no repository offers; rows are not expired by a
    commit, and a relationship that was not loaded on purpose raises. What is rolled
    back to a savepoint (`session.begin_nested`) is not told in the audit trail either.
    """

    def __init__(
        self,
        connection: Connection,
        runner: Runner,
        origin: Origin,
        keys: Callable[[], KeyRing],
    ) -> None:
        self.session = Session(connection, expire_on_commit=False)
        self._journal = Journal(origin)
        _follow(self.session, self._journal)
        self.hot = Hot(runner, keys)
        self.subjects = Subjects(self.session, keys)
        self.users = Users(self.session, self._journal, runner, self.subjects)
        self.roles = Roles(self.session, self._journal)
        self.permissions = Permissions(self.session, self._journal)
        self.accounts = Accounts(self.session, self._journal)
        self.credentials = Credentials(self.session, self._journal)
        self.backup_codes = BackupCodes(self.session, self._journal)
        self.totp = Totp(self.session, self._journal, keys)
        self.sessions = SessionRecords(self.session)
        self.audit = Audit(self.session, self._journal, self.subjects)

    def finish(self) -> None:
        """Write what is pending, the audit events last."""
        self.session.flush()
        self.audit.write()


def _follow(session: Session, journal: Journal) -> None:
    """Let the events of a savepoint vanish with it."""
    before: dict[SessionTransaction, int] = {}

    def begun(_: Session, transaction: SessionTransaction) -> None:
        if transaction.nested:
            before[transaction] = len(journal.events)

    def undone(_: Session, transaction: SessionTransaction) -> None:
        if transaction in before:
            journal.forget_after(before[transaction])

    event.listen(session, "after_transaction_create", begun)
    event.listen(session, "after_soft_rollback", undone)
