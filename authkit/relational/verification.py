"""Verifying the audit chain on a server: every entry streams by once.

The hashes and the links are computed here, from the hashed bytes. Whether the columns
repeat those bytes is asked of the server beside them, because a Python object for each
of them would cost ten times the hash: that much is trusted to the server, and what it
does not vouch for is read whole and judged here. So a superuser who replaced the
server's own comparison could have columns differ from the bytes unseen; bytes, order,
gaps and ends would still be seen, and checkpoints do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from struct import Struct
from typing import Any, LiteralString, TypeAlias

import psycopg
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from authkit.relational.chain import ChainVerifier, Entry, Head, Verification
from authkit.relational.copying import Blocks, copied
from authkit.relational.faithful import COLUMNS
from authkit.relational.translation import explain

# Heads and entries from one snapshot, so that appending goes on meanwhile: the heads
# come first, as entries of a kind. The entries follow in the order of their primary
# key, so that rows stream and nothing is sorted. OFFSET 0 has the bytes read as JSON
# once and not once for each column.
JUDGED: LiteralString = """
    (SELECT 2::smallint, h.period, h.hash,
      int4send(h.shard) || int8send(h.seq) || int8send(0) || h.prev_hash
    FROM authkit.audit_chain_heads AS h)
    UNION ALL
    (SELECT
      ((e.actor, e.action, e.target, e.outcome, e.before, e.after, e.details,
        e.ip, e.user_agent, e.correlation_id, e.occurred_at)
      IS NOT DISTINCT FROM
      (said.event ->> 'actor', said.event ->> 'action', said.event ->> 'target',
        said.event ->> 'outcome',
        nullif(said.event -> 'before', 'null'), nullif(said.event -> 'after', 'null'),
        coalesce(nullif(said.event -> 'details', 'null'), '{}'),
        (said.event ->> 'ip')::inet, said.event ->> 'user_agent',
        said.event ->> 'correlation_id', (said.event ->> 'occurred_at')::timestamptz)
      AND octet_length(e.prev_hash) = 32)::integer::smallint,
      e.period, e.hash,
      int4send(e.shard) || int8send(e.seq)
        || int8send((extract(epoch FROM e.recorded_at) * 1000000)::bigint)
        || e.prev_hash || e.canonical
    FROM authkit.audit_logs AS e
    CROSS JOIN LATERAL (
      SELECT convert_from(e.canonical, 'UTF8')::jsonb AS event OFFSET 0
    ) AS said
    ORDER BY e.period, e.shard, e.seq)
"""
COPY: LiteralString = f"COPY ({JUDGED}) TO STDOUT (FORMAT binary)"
# The binary format (PostgreSQL documentation, COPY): a header, then for each row the
# number of its columns, and each column behind its length. The last column is what is
# hashed behind the domain; see `authkit.schema.audit`.
_HEADER_BYTES = 19
_TRAILER_BYTES = 2
_ROW = Struct(">6xh4xii32s4xiqq32s")
_HASHED_AT = 56
_UNFAITHFUL, _FAITHFUL, _HEAD = range(3)
_DAY_ZERO = date(2000, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Workers would send entries as they find them.
IN_ORDER = text(
    "SELECT set_config('max_parallel_workers_per_gather', '0', true),"
    " set_config('jit', 'off', true)"
)

_PLAIN = ("period", "shard", "seq", "recorded_at", "prev_hash", "hash", "canonical")
_WHOLE = text(
    f"""
    (SELECT jsonb_agg(jsonb_build_array(shard, seq, encode(hash, 'hex'))),
      NULL::date, NULL::smallint, NULL::bigint, NULL::timestamptz, NULL::bytea,
      NULL::bytea, NULL::bytea, {", ".join("NULL" for _ in COLUMNS)}
    FROM authkit.audit_chain_heads)
    UNION ALL
    (SELECT NULL::jsonb, {", ".join(f"e.{name}" for name in (*_PLAIN, *COLUMNS))}
    FROM authkit.audit_logs AS e ORDER BY e.period, e.shard, e.seq)
    """  # noqa: S608 # constants
)
_ONE = text(
    f"SELECT {', '.join((*_PLAIN, *COLUMNS))} FROM authkit.audit_logs"  # noqa: S608 # constants
    " WHERE period = :period AND shard = :shard AND seq = :seq"
)

_AT_ONCE = 5000
Progress: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Unvouched:
    """An entry whose columns the server says are others than its bytes."""

    period: date
    shard: int
    seq: int


def verify(
    session: Session,
    verifier: Callable[[], ChainVerifier],
    progress: Progress | None,
) -> Verification:
    """Check every link, stopping at the first that is broken.

    Args:
        session: on the node to read.
        verifier: makes one that has seen nothing.
        progress: called now and then with how many entries were checked.

    Raises:
        AuthkitError: in a unit of work, what the server's error means.
    """
    checking = verifier()
    found = _streamed(session, checking, progress)
    if isinstance(found, Verification):
        return found
    if isinstance(found, _Unvouched):
        place = {"period": found.period, "shard": found.shard, "seq": found.seq}
        for row in session.execute(_ONE, place):
            broken = checking.feed(_entry(row))
            if broken is not None:
                return checking.result(broken)
    # Somebody wrote past the one door what the server cannot judge. Slower, and it
    # finds the row.
    return _whole(session, verifier(), progress)


def _streamed(
    session: Session, verifier: ChainVerifier, progress: Progress | None
) -> Verification | _Unvouched | None:
    """Check what the server vouches for; None where it has what cannot be read so."""
    savepoint = session.begin_nested()
    try:
        session.execute(IN_ORDER)
        with copied(session, COPY) as blocks:
            return _follow(blocks, verifier, progress)
    except psycopg.DataError:
        return None
    except psycopg.Error as exc:
        explained = explain(session.connection(), exc)
        if explained is None:
            raise
        raise explained from exc
    finally:
        # Also where all is well: it takes the settings back, and a COPY that was left
        # early has lost the transaction behind it.
        savepoint.rollback()


def _follow(
    blocks: Blocks, verifier: ChainVerifier, progress: Progress | None
) -> Verification | _Unvouched | None:
    heads: list[Head] = []
    begins = _HEADER_BYTES
    for count, block in enumerate(blocks, start=1):
        row = memoryview(block)[begins:]
        begins = 0
        if len(row) < _ROW.size:
            if len(row) == _TRAILER_BYTES:
                continue
            return None
        kind, days, length, digest, shard, seq, at_us, prev_hash = _ROW.unpack_from(row)
        if length != len(digest):
            return None
        if kind == _HEAD:
            heads.append(Head(shard, seq, digest))
            continue
        if kind == _UNFAITHFUL:
            return _Unvouched(_DAY_ZERO + timedelta(days=days), shard, seq)
        if not verifier.follows(shard, seq, prev_hash, digest, row[_HASHED_AT:]):
            entry = Entry(
                _DAY_ZERO + timedelta(days=days),
                shard,
                seq,
                _EPOCH + timedelta(microseconds=at_us),
                prev_hash,
                digest,
                bytes(row[_ROW.size :]),
            )
            broken = verifier.feed(entry)
            if broken is not None:
                return verifier.result(broken)
        if progress is not None and count % _AT_ONCE == 0:
            progress(count)
    return verifier.finish(heads)


def _whole(
    session: Session, verifier: ChainVerifier, progress: Progress | None
) -> Verification:
    heads: tuple[Head, ...] = ()
    rows = session.execute(
        _WHOLE, execution_options={"stream_results": True, "yield_per": _AT_ONCE}
    )
    try:
        for count, row in enumerate(rows, start=1):
            if row[0] is not None:
                heads = tuple(Head(s, n, bytes.fromhex(h)) for s, n, h in row[0])
            if row[3] is None:
                continue
            broken = verifier.feed(_entry(row[1:]))
            if broken is not None:
                return verifier.result(broken)
            if progress is not None and count % _AT_ONCE == 0:
                progress(count)
    finally:
        rows.close()
    return verifier.finish(heads)


def _entry(row: Row[*tuple[Any, ...]] | tuple[Any, ...]) -> Entry:
    plain = len(_PLAIN)
    return Entry(*row[:plain], columns=dict(zip(COLUMNS, row[plain:], strict=True)))
