"""The audit trail: entries chained by hash, in shards, in one partition a month.

Nobody inserts here but the SQL function `authkit.audit_append(shard, canonical)`. It
takes an event as canonical JSON (RFC 8785), stores those bytes as they are, fills the
columns from them, and in one statement moves the shard's head and appends the entry::

    hash = SHA-256( "authkit/audit/1" || 0x00      16 bytes, ASCII
                 || shard                            4 bytes, big-endian, signed
                 || seq                              8 bytes, big-endian, signed
                 || recorded_at                      8 bytes, big-endian, signed:
                                                     microseconds since 1970-01-01 UTC
                 || prev_hash                       32 bytes
                 || canonical                       the rest, as stored )

`seq` begins at 1 in each shard and has no gaps; the `prev_hash` of entry 1 is 32 zero
bytes. All parts before the last have a fixed length, so no two entries hash the same
bytes. `period` (the first of a month, UTC) is the partition key and never falls within
a shard, so dropping a partition removes a prefix of each chain and nothing else.

Keys of an event: `action` and `outcome` and `actor` (asked for), `target`, `before`,
`after`, `details`, `ip`, `user_agent`, `correlation_id`, `occurred_at` (optional, null
or absent). `actor` and `target` are written `kind:id`, e.g. `user:0199...`,
`system:maintain`. Other keys stay in the bytes and reach no column.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Date, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from authkit.schema.columns import (
    BIG,
    SMALL,
    IPAddress,
    JsonObject,
    check,
    json_object,
    length,
    one_of,
    user_agent,
)
from authkit.schema.declarative import Record
from authkit.schema.vocabulary import AUDIT_OUTCOMES

AUDIT_SHARDS = 16
HASH_DOMAIN = b"authkit/audit/1\x00"
GENESIS_HASH = bytes(32)


class AuditChainHead(Record):
    """The newest entry of a shard: the one row that appenders to it queue on."""

    __tablename__ = "audit_chain_heads"
    __table_args__ = (
        check("shard_range", "shard >= 0"),
        check("seq_range", "seq >= 0"),
        check("hash_length", "octet_length(hash) = 32"),
        check("prev_hash_length", "octet_length(prev_hash) = 32"),
        {
            "comment": "newest entry of each shard; written by audit_append alone",
            "postgresql_with": {"fillfactor": "20"},
        },
    )

    shard: Mapped[int] = mapped_column(SMALL, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(
        BIG, server_default=text("0"), comment="0: the shard is empty"
    )
    period: Mapped[date] = mapped_column(
        Date, server_default=text("'2000-01-01'::date")
    )
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    prev_hash: Mapped[bytes] = mapped_column(
        server_default=text(r"decode(repeat('00', 32), 'hex')")
    )
    hash: Mapped[bytes] = mapped_column(
        server_default=text(r"decode(repeat('00', 32), 'hex')")
    )


class AuditLog(Record):
    """One entry; `canonical` is what was signed, the other columns are read from it."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        check("period_month", "period = date_trunc('month', period)::date"),
        check("seq_positive", "seq > 0"),
        check("hash_length", "octet_length(hash) = 32"),
        check("prev_hash_length", "octet_length(prev_hash) = 32"),
        check("canonical_length", "octet_length(canonical) BETWEEN 2 AND 1048576"),
        check("actor_shape", "actor ~ '^[a-z_]{1,30}:.{1,200}$'"),
        check("target_shape", "target ~ '^[a-z_]{1,30}:.{1,200}$'"),
        check("action_shape", "action ~ '^[a-z][a-z0-9_.:-]{0,99}$'"),
        one_of("outcome", AUDIT_OUTCOMES),
        json_object("details"),
        user_agent(),
        length("correlation_id", 200),
        Index("audit_logs_by_time_idx", "recorded_at", postgresql_using="brin"),
        Index("audit_logs_by_actor_idx", "actor", "recorded_at"),
        Index("audit_logs_by_target_idx", "target", "recorded_at"),
        Index(
            "audit_logs_by_correlation_idx",
            "correlation_id",
            postgresql_where=text("correlation_id IS NOT NULL"),
        ),
        {
            "comment": "append-only and hash-chained; the layout is in authkit.schema",
            "postgresql_partition_by": "RANGE (period)",
        },
    )

    period: Mapped[date] = mapped_column(
        Date, primary_key=True, comment="month that seals it, first day, UTC"
    )
    shard: Mapped[int] = mapped_column(SMALL, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(
        BIG, primary_key=True, autoincrement=False, comment="gapless within its shard"
    )
    recorded_at: Mapped[datetime] = mapped_column(comment="the server's clock; hashed")
    prev_hash: Mapped[bytes]
    hash: Mapped[bytes]
    canonical: Mapped[bytes] = mapped_column(comment="the event, RFC 8785, as hashed")
    actor: Mapped[str] = mapped_column(comment="kind:id of who acted")
    action: Mapped[str] = mapped_column(comment="e.g. role.grant")
    target: Mapped[str | None] = mapped_column(comment="kind:id of what was acted on")
    outcome: Mapped[str]
    before: Mapped[JsonObject | None]
    after: Mapped[JsonObject | None]
    details: Mapped[JsonObject] = mapped_column(server_default=text("'{}'::jsonb"))
    ip: Mapped[IPAddress | None]
    user_agent: Mapped[str | None]
    correlation_id: Mapped[str | None]
    occurred_at: Mapped[datetime | None] = mapped_column(
        comment="when it happened, where that is not when it was recorded"
    )
