"""Verifying the audit chain on a server: every entry streams by once.

The links are checked here, from the hashed bytes. Whether the columns repeat those
bytes is asked of the server beside them, because a Python object for each of them would
cost ten times the hash; a row that it does not vouch for is read whole and judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from authkit.errors import DatabaseError
from authkit.relational.chain import ChainVerifier, Entry, Head, Verification
from authkit.relational.faithful import COLUMNS

# Heads and entries from one snapshot, so that appending goes on meanwhile: the heads
# are the first row. The entries follow in the order of their primary key, so that rows
# stream and nothing is sorted (a cursor's query is planned for its first rows, and is
# never run in parallel: PostgreSQL documentation, sections 19.7.2 and 15.2).
_STREAM = """
    (SELECT jsonb_agg(jsonb_build_array(shard, seq, encode(hash, 'hex'))),
      NULL::date, NULL::smallint, NULL::bigint, NULL::timestamptz, NULL::bytea,
      NULL::bytea, NULL::bytea, {nothing}
    FROM authkit.audit_chain_heads)
    UNION ALL
    (SELECT NULL::jsonb, e.period, e.shard, e.seq, e.recorded_at, e.prev_hash, e.hash,
      e.canonical, {columns}
    FROM authkit.audit_logs AS e
    {also}
    ORDER BY e.period, e.shard, e.seq)
"""
# OFFSET 0 has the bytes read as JSON once and not once for each column.
_JUDGED = text(
    _STREAM.format(
        nothing="NULL::boolean",
        columns="""
      (e.actor, e.action, e.target, e.outcome, e.before, e.after, e.details,
        e.ip, e.user_agent, e.correlation_id, e.occurred_at)
      IS NOT DISTINCT FROM
      (said.event ->> 'actor', said.event ->> 'action', said.event ->> 'target',
        said.event ->> 'outcome',
        nullif(said.event -> 'before', 'null'), nullif(said.event -> 'after', 'null'),
        coalesce(nullif(said.event -> 'details', 'null'), '{}'),
        (said.event ->> 'ip')::inet, said.event ->> 'user_agent',
        said.event ->> 'correlation_id', (said.event ->> 'occurred_at')::timestamptz)
      AS faithful""",
        also="""CROSS JOIN LATERAL (
      SELECT convert_from(e.canonical, 'UTF8')::jsonb AS event OFFSET 0
    ) AS said""",
    )
)
_WHOLE = text(
    _STREAM.format(
        nothing=", ".join("NULL" for _ in COLUMNS),
        columns=", ".join(f"e.{name}" for name in COLUMNS),
        also="",
    )
)
_ONE = text(
    f"SELECT {', '.join(COLUMNS)} FROM authkit.audit_logs"  # noqa: S608 # constants
    " WHERE period = :period AND shard = :shard AND seq = :seq"
)

# SQLSTATE class 22: the server could not read an entry's bytes as JSON.
_DATA_EXCEPTION = "22"
_AT_ONCE = 5000
Progress: TypeAlias = Callable[[int], None]


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
    """
    try:
        with session.begin_nested():
            return _stream(session, _JUDGED, verifier(), progress)
    except DatabaseError as exc:
        if not (exc.sqlstate or "").startswith(_DATA_EXCEPTION):
            raise
    # Somebody wrote bytes past the one door. Slower, and it finds the row.
    return _stream(session, _WHOLE, verifier(), progress)


def _stream(
    session: Session,
    statement: TextClause,
    verifier: ChainVerifier,
    progress: Progress | None,
) -> Verification:
    heads: tuple[Head, ...] = ()
    whole = statement is _WHOLE
    rows = session.execute(
        statement, execution_options={"stream_results": True, "yield_per": _AT_ONCE}
    )
    try:
        for count, row in enumerate(rows, start=1):
            if row[0] is not None:
                heads = tuple(Head(s, n, bytes.fromhex(h)) for s, n, h in row[0])
            if row[3] is None:
                continue
            broken = verifier.feed(_entry(session, row, whole=whole))
            if broken is not None:
                return verifier.result(broken)
            if progress is not None and count % _AT_ONCE == 0:
                progress(count)
    finally:
        rows.close()
    return verifier.finish(heads)


def _entry(session: Session, row: Row[*tuple[Any, ...]], *, whole: bool) -> Entry:
    if whole:
        return Entry(*row[1:8], columns=dict(zip(COLUMNS, row[8:], strict=True)))
    if row[8]:
        return Entry(*row[1:8])
    # The server does not vouch for the columns: which one is it?
    place = {"period": row[1], "shard": row[2], "seq": row[3]}
    columns = session.execute(_ONE, place).one()
    return Entry(*row[1:8], columns=dict(zip(COLUMNS, columns, strict=True)))
