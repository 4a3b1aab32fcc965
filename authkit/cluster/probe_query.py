"""What a probe asks, and how its answer is read; what a reader asks that waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from authkit.cluster.consistency import lsn_number
from authkit.cluster.views import Observation, Role, Snapshot

# In autocommit: `transaction_read_only` and the recovery state of an open transaction
# are those of its beginning. The timeline of a primary is that of the segment it writes
# to: pg_control says the old one until the checkpoint after a promotion is complete. A
# replica's is that of the stream it receives, which the view shows to members of
# pg_read_all_stats only; else what its control file says, which may be older.
QUESTION: LiteralString = """
SELECT pg_is_in_recovery()::int,
       s.system_identifier,
       CASE WHEN pg_is_in_recovery()
            THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END,
       CASE WHEN pg_is_in_recovery()
            THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
       END,
       (SELECT max(received_tli) FROM pg_stat_wal_receiver),
       greatest(c.timeline_id, r.min_recovery_end_timeline),
       extract(epoch FROM pg_postmaster_start_time()),
       current_setting('server_version_num'),
       (SELECT count(*) FROM pg_stat_wal_receiver),
       pg_current_snapshot(),
       pg_backend_pid()
  FROM pg_control_system() AS s, pg_control_checkpoint() AS c,
       pg_control_recovery() AS r
"""
COLUMNS = 11

# How far a replica has come, and on which timeline.
REPLAYED: LiteralString = """
SELECT pg_last_wal_replay_lsn()::text,
       coalesce((SELECT max(received_tli) FROM pg_stat_wal_receiver),
                greatest(c.timeline_id, r.min_recovery_end_timeline))
  FROM pg_control_checkpoint() AS c, pg_control_recovery() AS r
"""


def read_answer(
    node: str,
    values: Sequence[bytes | None],
    *,
    sent: float,
    received: float,
    backend_pid: int,
) -> Observation:
    """Turn the row, in text format, into an observation.

    Args:
        node: its name.
        values: one row of the question.
        sent: when it was asked, on the monotonic clock.
        received: when the answer was complete.
        backend_pid: the process that the connection was told it talks to.

    Raises:
        ValueError: the answer is not of the form that was asked for.
    """
    if len(values) != COLUMNS:
        raise ValueError("the answer has another number of columns")
    texts = [None if value is None else value.decode() for value in values]
    standby, system, lsn, own, received_tli, control, started, version = texts[:8]
    streams, snapshot, backend = texts[8:]
    if standby is None or version is None:
        raise ValueError("the answer is empty")
    if standby == "1":
        role, timeline = Role.REPLICA, int(received_tli or control or 0)
    else:
        role, timeline = Role.PRIMARY, int(own or "0", 16)
    return Observation(
        node=node,
        sent=sent,
        received=received,
        role=role,
        timeline=timeline,
        system_id=system or "",
        lsn=lsn_number(lsn) if lsn else 0,
        started=started or "",
        version=int(version),
        streaming=streams not in {None, "0"},
        snapshot=Snapshot.parse(snapshot) if snapshot else None,
        # PgBouncer and its like tell their clients a process id of their own.
        pooled=backend != str(backend_pid),
    )
