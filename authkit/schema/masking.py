"""The keys under which analysts see people and addresses as tokens.

The views `attempts_masked`, `sessions_masked` and `audit_masked` read the active key as
their owner; no role that authkit makes may read the table. A new key gives new tokens,
so retiring one ends the life of every token made before.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from authkit.schema.columns import check
from authkit.schema.declarative import Record

MASKED_VIEWS = ("attempts_masked", "audit_masked", "sessions_masked")


class MaskingKey(Record):
    """Two independent halves, for the inner and the outer hash of a token."""

    __tablename__ = "masking_keys"
    __table_args__ = (
        check("inner_key_length", "octet_length(inner_key) = 32"),
        check("outer_key_length", "octet_length(outer_key) = 32"),
        Index(
            "masking_keys_one_active_idx",
            text("(retired_at IS NULL)"),
            unique=True,
            postgresql_where=text("retired_at IS NULL"),
        ),
        {"comment": "keys of the masked views; one active, none ever granted"},
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, server_default=text("gen_random_uuid()")
    )
    inner_key: Mapped[bytes]
    outer_key: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]
