"""The tables of second factors: one-time codes by time, and backup codes for the rest.

The secret that is in use stands sealed in `users`, beside `mfa_enabled`, so that what
a login reads is one row; here stands what enrolling and using it need.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func, text
from sqlalchemy.orm import Mapped, mapped_column

from authkit.schema.columns import BIG, check, digest, together
from authkit.schema.declarative import Record
from authkit.schema.metadata import SCHEMA

_USER = f"{SCHEMA}.users.id"


class BackupCode(Record):
    """A single-use code for the day the second factor is lost; only its digest."""

    __tablename__ = "user_backup_codes"
    __table_args__ = (
        digest("code_digest"),
        {"comment": "backup codes of a user, each good once"},
    )

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey(_USER, ondelete="CASCADE"), primary_key=True
    )
    code_digest: Mapped[bytes] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]


class UserTotp(Record):
    """How far a user is with one-time codes by time (RFC 6238)."""

    __tablename__ = "user_totp"
    __table_args__ = (
        together("proposal_whole", "proposed_sealed", "sealing_key_id", "proposed_at"),
        check("last_step_range", "last_step >= 0"),
        {"comment": "enrolment of a user's authenticator, and the last code it gave"},
    )

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey(_USER, ondelete="CASCADE"), primary_key=True
    )
    proposed_sealed: Mapped[bytes | None] = mapped_column(
        comment="a secret that nobody has confirmed yet"
    )
    sealing_key_id: Mapped[str | None]
    proposed_at: Mapped[datetime | None]
    enrolled_at: Mapped[datetime | None] = mapped_column(
        comment="since when the secret in users is good; null: there is none"
    )
    last_step: Mapped[int] = mapped_column(
        BIG,
        server_default=text("0"),
        comment="time step of the last code that was accepted: no code is good twice",
    )
