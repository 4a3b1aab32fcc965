"""The unit of work for threads, with its repositories at hand."""

from __future__ import annotations

from sqlalchemy.orm import Session

from authkit.relational._sync.unit_of_work import UnitOfWork as _UnitOfWork
from authkit.relational.accounts import Accounts
from authkit.relational.audit import Audit
from authkit.relational.backup_codes import BackupCodes
from authkit.relational.credentials import Credentials
from authkit.relational.permissions import Permissions
from authkit.relational.records import SessionRecords
from authkit.relational.roles import Roles
from authkit.relational.subjects import Subjects
from authkit.relational.totp import Totp
from authkit.relational.users import Users


class UnitOfWork(_UnitOfWork):
    """`with kit.unit_of_work() as uow:` one transaction over both layers, one node.

    `uow.hot` holds the hot path's repositories in the same transaction. Each property
    raises `Closed` outside of the block.
    """

    @property
    def users(self) -> Users:
        """Users: create, find, change, disable."""
        return self.work.users

    @property
    def roles(self) -> Roles:
        """Roles: create, grant, revoke; who may do what, and why."""
        return self.work.roles

    @property
    def permissions(self) -> Permissions:
        """Permissions and their conditions."""
        return self.work.permissions

    @property
    def accounts(self) -> Accounts:
        """Identities at issuers, linked to users."""
        return self.work.accounts

    @property
    def credentials(self) -> Credentials:
        """Passkeys and security keys."""
        return self.work.credentials

    @property
    def backup_codes(self) -> BackupCodes:
        """Codes for the day the second factor is lost."""
        return self.work.backup_codes

    @property
    def totp(self) -> Totp:
        """One-time codes of an authenticator: enrol, redeem, disable."""
        return self.work.totp

    @property
    def sessions(self) -> SessionRecords:
        """The records of sessions; the live ones are in `hot.sessions`."""
        return self.work.sessions

    @property
    def audit(self) -> Audit:
        """The audit trail: append, read, verify."""
        return self.work.audit

    @property
    def session(self) -> Session:
        """SQLAlchemy's session, for what no repository offers."""
        return self.work.session

    @property
    def subjects(self) -> Subjects:
        """Keys of subjects: what is sealed for them is gone once they are erased."""
        return self.work.subjects
