"""What a checkpoint needs of the server: heads, timeline, position, months to seal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import groupby

from sqlalchemy import text
from sqlalchemy.orm import Session

from authkit.cluster.consistency import lsn_number
from authkit.cluster.timelines import parse_history
from authkit.errors import InvalidInput
from authkit.relational.chain import Head, Seal
from authkit.relational.checkpoint import Checkpoint
from authkit.relational.merkle import Tree

# The snapshot is older than the position: every commit in it lies before that.
_OBSERVE = text("""
    SELECT s.system_identifier::text AS system, current_database() AS database,
        substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) AS timeline,
        pg_current_wal_insert_lsn()::text AS lsn, clock_timestamp() AS at,
        (SELECT jsonb_agg(jsonb_build_array(h.shard, h.seq, encode(h.hash, 'hex'))
            ORDER BY h.shard) FROM authkit.audit_chain_heads AS h) AS heads,
        (date_trunc('month', (clock_timestamp() - interval '1 day') AT TIME ZONE 'UTC')
            )::date AS open_from
    FROM pg_control_system() AS s
""")

# A transaction that began to append within a month may still be open when it ends: the
# day that `open_from` waits is for that.
_TO_SEAL = text("""
    SELECT period, shard, seq, hash FROM authkit.audit_logs
    WHERE period < :before AND period > :after
    ORDER BY period, shard, seq
""")

_TIMELINE = text("""
    SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
""")

# The privilege is asked first: a refusal would lose the transaction. Four arguments,
# because PostgreSQL 15 has no shorter form that bears a missing file.
_MAY_READ_HISTORY = text("""
    SELECT has_function_privilege(
        'pg_catalog.pg_read_file(text,bigint,bigint,boolean)', 'EXECUTE')
""")
_HISTORY = text("""
    SELECT pg_read_file('pg_wal/' || :name || '.history', 0, 1048576, true)
""")
_AT_ONCE = {"stream_results": True, "yield_per": 5000}
_LONG_AGO = date(1, 1, 1)


def observe(session: Session, previous: Checkpoint | None) -> Checkpoint:
    """Return the trail as it is, with every month that is to be sealed.

    On the primary. Sealing reads the month once, entry by entry. On another timeline
    than the one before, every month that is kept is sealed again: a failover may have
    lost what the earlier seals were seen by, and they would be no evidence any more.

    Raises:
        InvalidInput: the chain has no heads.
    """
    row = session.execute(_OBSERVE).one()
    if row.heads is None:
        raise InvalidInput("the audit chain has no heads: the schema is incomplete")
    timeline = int(row.timeline, 16)
    sealed_until = None if previous is None else previous.sealed_until
    after = _LONG_AGO
    if previous is not None and previous.timeline == timeline:
        after = sealed_until or _LONG_AGO
    seals = tuple(_seals(session, after=after, before=row.open_from))
    return Checkpoint(
        system=row.system,
        database=row.database,
        timeline=timeline,
        lsn=lsn_number(row.lsn),
        at=row.at,
        heads=tuple(Head(s, n, bytes.fromhex(h)) for s, n, h in row.heads),
        seals=seals,
        sealed_until=seals[-1].period if seals else sealed_until,
        previous=None if previous is None else previous.digest,
    )


def _seals(session: Session, *, after: date, before: date) -> Iterator[Seal]:
    bounds = {"after": after, "before": before}
    rows = session.execute(_TO_SEAL, bounds, execution_options=_AT_ONCE)
    for period, entries in groupby(rows, key=lambda row: row.period):
        tree, ends = Tree(), dict[int, Head]()
        for _, shard, seq, digest in entries:
            tree.add(digest)
            ends[shard] = Head(shard, seq, digest)
        yield Seal(period, tree.size, tree.root, tuple(ends.values()))


def current_timeline(session: Session) -> int:
    """Return the timeline that the primary is on."""
    return int(session.execute(_TIMELINE).scalar_one(), 16)


def timelines_left(session: Session, timeline: int) -> dict[int, int] | None:
    """Return where each earlier timeline was left; None where it may not be read."""
    if timeline == 1:
        return {}
    if not session.scalar(_MAY_READ_HISTORY):
        return None
    found = session.scalar(_HISTORY, {"name": f"{timeline:08X}"})
    return None if found is None else parse_history(found)
