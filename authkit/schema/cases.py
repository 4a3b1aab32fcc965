"""An analyst's cases: pseudonyms that mean nothing elsewhere, and labels of attempts.

Analysts read views and call `label_attempts`; the keys and who is who stay in tables
that no analyst may read. Maintenance opens a case, and may ask who somebody is, which
writes an entry into the audit trail in the same transaction.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from authkit.schema.columns import check, length, slug
from authkit.schema.declarative import Record

CASE_VIEWS = ("case_attempts_masked", "cases_masked", "labels_masked")
CASE_TABLES = ("cases", "case_pseudonyms", "attempt_labels")
_DRAWN = text("gen_random_uuid()")


class Case(Record):
    """A window of time, and the keys of its tokens."""

    __tablename__ = "cases"
    __table_args__ = (
        length("name", 100),
        check("window", "since < until"),
        check("inner_key_length", "octet_length(inner_key) = 32"),
        check("outer_key_length", "octet_length(outer_key) = 32"),
        {
            "comment": "windows of time that analysts look into, with keys of their"
            " own; never granted"
        },
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_DRAWN)
    name: Mapped[str] = mapped_column(unique=True)
    since: Mapped[datetime]
    until: Mapped[datetime]
    inner_key: Mapped[bytes]
    outer_key: Mapped[bytes]
    opened_by: Mapped[str]
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CasePseudonym(Record):
    """Who somebody is in a case."""

    __tablename__ = "case_pseudonyms"
    __table_args__ = (
        UniqueConstraint("case_id", "pseudonym"),
        {
            "comment": "who is who in a case: drawn at random, so that nothing but this"
            " table tells it"
        },
    )

    case_id: Mapped[UUID] = mapped_column(
        ForeignKey("authkit.cases.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    pseudonym: Mapped[str]


class AttemptLabel(Record):
    """What somebody found out about an attempt."""

    __tablename__ = "attempt_labels"
    __table_args__ = (
        slug("label"),
        length("note", 2000),
        Index("attempt_labels_attempt_id_idx", "attempt_id"),
        Index("attempt_labels_case_id_idx", "case_id"),
        {
            "comment": "what somebody found out about an attempt, and when; a later"
            " label goes before"
        },
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=_DRAWN)
    attempt_id: Mapped[UUID]
    occurred_at: Mapped[datetime]
    label: Mapped[str]
    note: Mapped[str | None]
    case_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("authkit.cases.id", ondelete="CASCADE")
    )
    author: Mapped[str]
    labelled_at: Mapped[datetime] = mapped_column(server_default=func.now())
