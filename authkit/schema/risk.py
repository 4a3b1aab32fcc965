"""What login scores are made of: counts of accepted values, per user and over all.

A value is named by a digest of its facet and itself (`authkit.risk.counters`). A login
moves its user's counts at once and appends to `risk_deltas`; `risk_merge` adds those up
in the counts over everybody, which would be hot rows otherwise.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import (
    Column,
    Index,
    Named,
    PrimaryKeyConstraint,
    Table,
    TypedColumns,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.types import TypeEngine

from authkit.schema.columns import (
    BIG,
    BIGS,
    BYTES,
    FLAG,
    INSTANT,
    INT,
    SMALL,
    UUID_,
    check,
)
from authkit.schema.metadata import metadata

__all__ = [
    "risk_counts",
    "risk_deltas",
    "risk_logins",
    "risk_pairs",
    "risk_totals",
    "risk_user_counts",
    "risk_users",
]

KEYS = cast("TypeEngine[list[bytes | None]]", ARRAY(BYTEA()))


class RiskLoginColumns(TypedColumns):
    """Columns of `risk_logins`."""

    user_id: Named[UUID] = Column(UUID_)
    occurred_at: Named[datetime] = Column(INSTANT)
    attempt_id: Named[UUID] = Column(UUID_)
    facets: Named[list[bytes | None]] = Column(
        KEYS,
        comment="digest of each facet's value, in the order of authkit.risk.FACETS;"
        " null: unknown",
    )


risk_logins = Table(
    "risk_logins",
    metadata,
    RiskLoginColumns,
    PrimaryKeyConstraint("user_id", "occurred_at", "attempt_id"),
    Index("risk_logins_by_time_idx", "occurred_at"),
    comment="completed logins that the counts hold now;"
    " they leave when the horizon passes",
)


class RiskUserColumns(TypedColumns):
    """Columns of `risk_users`."""

    user_id: Named[UUID] = Column(UUID_, primary_key=True)
    logins: Named[int] = Column(BIG)


risk_users = Table(
    "risk_users",
    metadata,
    RiskUserColumns,
    check("logins_counted", "logins >= 0"),
    comment="n_u: completed logins of a user in the horizon",
)


class RiskUserCountColumns(TypedColumns):
    """Columns of `risk_user_counts`."""

    user_id: Named[UUID] = Column(UUID_)
    key: Named[bytes] = Column(BYTES)
    seen: Named[int] = Column(BIG)


risk_user_counts = Table(
    "risk_user_counts",
    metadata,
    RiskUserCountColumns,
    PrimaryKeyConstraint("user_id", "key"),
    check("seen_counted", "seen >= 0"),
    comment="c_u: logins of a user with a value",
)


class RiskCountColumns(TypedColumns):
    """Columns of `risk_counts`."""

    key: Named[bytes] = Column(BYTES, primary_key=True)
    seen: Named[int] = Column(BIG)
    networks: Named[int] = Column(
        INT,
        server_default=text("0"),
        comment="of an address: how many networks it came with (rows of risk_pairs)",
    )
    countries: Named[int] = Column(
        INT,
        server_default=text("0"),
        comment="of an address: how many countries it came with (rows of risk_pairs)",
    )


risk_counts = Table(
    "risk_counts",
    metadata,
    RiskCountColumns,
    # A score reads fourteen of them: a bucket each instead of a way down a tree.
    Index("risk_counts_read_idx", "key", postgresql_using="hash"),
    comment="c: logins of everybody with a value, as merged",
)


class RiskPairColumns(TypedColumns):
    """Columns of `risk_pairs`."""

    key: Named[bytes] = Column(BYTES)
    place: Named[int] = Column(SMALL)
    above: Named[bytes] = Column(BYTES)
    seen: Named[int] = Column(BIG)


risk_pairs = Table(
    "risk_pairs",
    metadata,
    RiskPairColumns,
    PrimaryKeyConstraint("key", "place", "above"),
    comment="which networks (place 2) and countries (place 3) an address came with",
)


class RiskTotalColumns(TypedColumns):
    """Columns of `risk_totals`."""

    one: Named[bool] = Column(FLAG, primary_key=True, server_default=text("true"))
    logins: Named[int] = Column(BIG, server_default=text("0"))
    users: Named[int] = Column(BIG, server_default=text("0"))
    distinct_values: Named[list[int]] = Column(
        BIGS, server_default=text("'{}'::bigint[]")
    )
    merged_at: Named[datetime] = Column(INSTANT, server_default=func.now())


risk_totals = Table(
    "risk_totals",
    metadata,
    RiskTotalColumns,
    check("one_row", "one"),
    comment="N, |U| and the distinct values of each facet, as merged; one row",
)


class RiskDeltaColumns(TypedColumns):
    """Columns of `risk_deltas`."""

    attempt_id: Named[UUID] = Column(UUID_)
    step: Named[int] = Column(SMALL)
    users: Named[int] = Column(SMALL, server_default=text("0"))
    facets: Named[list[bytes | None]] = Column(KEYS)


risk_deltas = Table(
    "risk_deltas",
    metadata,
    RiskDeltaColumns,
    PrimaryKeyConstraint("attempt_id", "step"),
    check("step_one", "step IN (-1, 1)"),
    comment="logins that came or aged and are not in the counts over everybody yet",
)
