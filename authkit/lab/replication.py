"""Who follows whom and who confirms: configuration, slots, and waiting for both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import LiteralString

from authkit.errors import LabError
from authkit.lab import state
from authkit.lab.endpoint import Endpoint
from authkit.lab.server import Server, server_of
from authkit.lab.state import LabState

_TIMELINE: LiteralString = """\
SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
"""
# A replica that is ahead of its primary begins to stream the old timeline, is turned
# away at its end and begins again: only its timeline tells that it will never follow.
_FOLLOWS: LiteralString = """\
SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming' AND received_tli = %s
"""
_KNOWN: LiteralString = """\
SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = %s
"""
# The insert position at the start of a page lies behind its header, where no record
# ends: a replica on an idle system reaches it only with the next record, 15 s later.
_WRITTEN: LiteralString = """\
WITH here AS (
    SELECT pg_current_wal_insert_lsn() AS lsn,
           pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS at,
           pg_size_bytes(current_setting('wal_segment_size')) AS segment,
           current_setting('wal_block_size')::int AS page
)
SELECT (CASE WHEN at % segment = 40 THEN lsn - 40::numeric
             WHEN at % page = 24 THEN lsn - 24::numeric
             ELSE lsn END)::text
FROM here
"""


def confirmers(lab: LabState) -> str:
    """Return `synchronous_standby_names` of the primary for this state."""
    names = [n.name for n in lab.nodes if n.follows == lab.primary]
    if not lab.synchronous or lab.degraded or not names:
        return ""
    return f"ANY 1 ({', '.join(names)})"


def apply(folder: Path, lab: LabState) -> None:
    """Save a state and make the primary's configuration agree with it."""
    state.save(folder, lab)
    primary = server_of(folder, lab, "primary")
    primary.configure(upstream=None, synchronous=confirmers(lab))
    primary.reload()


def wait_streaming(
    upstream: Server, replicas: Sequence[Server], *, timeout_s: float = 30.0
) -> None:
    """Wait until replicas stream a primary's own timeline from it.

    Raises:
        LabError: one does not in time.
    """
    end = time.monotonic() + timeout_s
    ((timeline,),) = upstream.query(_TIMELINE)
    with upstream.connect("postgres") as above:
        for replica in replicas:
            with replica.connect("postgres") as below:
                wait_until(
                    lambda asked=below, name=replica.name: (
                        asked.execute(_FOLLOWS, [timeline]).rowcount > 0
                        and above.execute(_KNOWN, [name]).rowcount > 0
                    ),
                    f"{replica.name} did not begin to stream from {upstream.name}",
                    timeout_s=max(0.0, end - time.monotonic()),
                )


def wait_confirming(folder: Path, lab: LabState) -> None:
    """Wait until the primary's commits do wait for its replicas, where they should."""
    if not confirmers(lab):
        return
    with server_of(folder, lab, "primary").connect("postgres") as connection:
        wait_until(
            lambda: (
                connection.execute(
                    "SELECT 1 FROM pg_stat_replication "
                    "WHERE sync_state IN ('sync', 'quorum')"
                ).rowcount
                > 0
            ),
            "the primary did not begin to wait for its replicas",
        )


def wait_replayed(
    primary: Endpoint,
    replicas: Sequence[Endpoint],
    lsn: str | None = None,
    *,
    timeout_s: float = 30.0,
) -> str:
    """Wait until replicas replayed a position, by default all that is written now.

    Returns:
        the position.

    Raises:
        LabError: one did not come that far in time.
    """
    end = time.monotonic() + timeout_s
    position = lsn if lsn is not None else str(primary.query(_WRITTEN)[0][0])
    for replica in replicas:
        with replica.connect("postgres") as connection:
            wait_until(
                lambda: (
                    connection.execute(
                        "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [position]
                    ).fetchall()
                    == [(True,)]
                ),
                f"{replica.name} did not replay {position}",
                timeout_s=max(0.0, end - time.monotonic()),
            )
    return position


def received_bytes(replica: Server) -> int:
    """Return how far a replica's copy of the WAL reaches."""
    ((position,),) = replica.query(
        "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) "
        "- '0/0'::pg_lsn"
    )
    return int(position or 0)


def make_slots(upstream: Server, names: Sequence[str]) -> None:
    """Make the slots that are missing, anew those that lost the WAL they held."""
    upstream.query(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
        "WHERE slot_name = ANY(%s) AND wal_status = 'lost' AND NOT active",
        [list(names)],
    )
    upstream.query(
        "SELECT pg_create_physical_replication_slot(name, true) "
        "FROM unnest(%s::text[]) AS name "
        "WHERE name NOT IN (SELECT slot_name FROM pg_replication_slots)",
        [list(names)],
    )


def wait_until(
    condition: Callable[[], bool],
    otherwise: str,
    *,
    timeout_s: float = 30.0,
    every_s: float = 0.005,
) -> None:
    """Poll a condition of a lab.

    Raises:
        LabError: it does not hold in time; `otherwise` says what did not happen.
    """
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"{otherwise} within {timeout_s:g} s")
        time.sleep(every_s)
