"""Who leads, who follows, who confirms: promotion, rejoining, synchronous commit.

Every function here expects the lab to be locked, and saves the state it reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, LiteralString

from authkit.errors import LabError
from authkit.lab import state
from authkit.lab.server import Server, server_of
from authkit.lab.state import LabState

How = Literal["already streaming", "restarted", "pg_rewind", "base backup"]
Progress = Callable[[str], None]


_SLOT_IN_USE: LiteralString = (
    "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND active"
)


@dataclass(frozen=True, slots=True)
class Rejoined:
    """How a node came back, and why not by a cheaper way."""

    node: str
    how: How
    seconds: float
    reason: str | None = None


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


def promote(folder: Path, node: str | None, *, fence: bool) -> str:
    """Make a replica the primary and let the other replicas follow it.

    Commits wait for the replicas that follow the new primary, for none if none does.

    Raises:
        LabError: the node is no replica, does not run, or does not take over in time.
    """
    lab = _loaded(folder)
    chosen = lab.node(node or _furthest(folder, lab)).name
    if lab.role(chosen) != "replica":
        raise LabError(f"{chosen} is no replica of {lab.primary}: it is "
                       f"{lab.role(chosen)}")  # fmt: skip
    server = server_of(folder, lab, chosen)
    _require_running(server)
    old = server_of(folder, lab, "primary")
    if fence and old.condition() == "running":
        old.stop()
    with server.connect("postgres") as connection:
        connection.execute("SELECT pg_promote(wait => false)")
        _until(
            lambda: (
                connection.execute("SELECT pg_is_in_recovery()").fetchall()
                == [(False,)]
            ),
            f"{chosen} did not take over",
        )
    server.configure(upstream=None)
    lab = replace(lab.following(chosen, None), primary=chosen, degraded=False)
    state.save(folder, lab)
    server.reload()
    make_slots(server, [n.name for n in lab.nodes if n.name != chosen])
    for other in lab.nodes:
        if other.name not in {chosen, old.name}:
            lab = _follow(folder, lab, other.name)
    return chosen


def rejoin(folder: Path, node: str, progress: Progress) -> Rejoined:
    """Bring a node back as a replica of the primary, by the cheapest way that works.

    Whatever the node wrote that the primary does not have is discarded.

    Raises:
        LabError: the node is the primary, or the primary does not run.
    """
    began = time.monotonic()
    lab = _loaded(folder)
    name = lab.node(node).name
    if name == lab.primary:
        raise LabError(f"{name} is the primary: there is nothing for it to rejoin")
    primary = server_of(folder, lab, "primary")
    _require_running(primary)
    server = server_of(folder, lab, name)
    how, reason = _bring_back(lab, server, primary, progress)
    lab = replace(lab.following(name, lab.primary), degraded=False)
    apply(folder, lab)
    wait_confirming(folder, lab)
    return Rejoined(name, how, time.monotonic() - began, reason)


def wait_streaming(
    upstream: Server, names: Sequence[str], *, timeout_s: float = 30.0
) -> None:
    """Wait until the named replicas stream from a node.

    Raises:
        LabError: one does not in time.
    """
    with upstream.connect("postgres") as connection:
        _until(
            lambda: (
                set(names)
                <= {
                    str(name)
                    for (name,) in connection.execute(
                        "SELECT application_name FROM pg_stat_replication "
                        "WHERE state = 'streaming'"
                    )
                }
            ),
            f"{', '.join(names)} did not begin to stream from {upstream.name}",
            timeout_s=timeout_s,
        )


def wait_confirming(folder: Path, lab: LabState) -> None:
    """Wait until the primary's commits do wait for its replicas, where they should."""
    if not confirmers(lab):
        return
    with server_of(folder, lab, "primary").connect("postgres") as connection:
        _until(
            lambda: (
                connection.execute(
                    "SELECT 1 FROM pg_stat_replication "
                    "WHERE sync_state IN ('sync', 'quorum') LIMIT 1"
                ).fetchall()
                != []
            ),
            "the primary did not begin to wait for its replicas",
        )


def _bring_back(
    lab: LabState, server: Server, primary: Server, progress: Progress
) -> tuple[How, str | None]:
    condition = server.condition()
    if lab.role(server.name) == "replica":
        # It left no timeline: it may stream already, or do so once it runs again.
        try:
            if condition == "down":
                progress(f"Starting {server.name}")
                server.start()
            elif condition == "frozen":
                progress(f"Resuming {server.name}")
                server.thaw()
            wait_streaming(primary, [server.name], timeout_s=5)
        except LabError as exc:
            progress(f"{exc}: more is needed")
        else:
            return "already streaming" if condition == "running" else "restarted", None
    if server.condition() == "frozen":
        server.kill()
    server.stop()
    make_slots(primary, [server.name])
    try:
        progress(f"Rewinding {server.name} to where {primary.name} branched off")
        _rewind(server, primary)
        _start_following(server, primary)
    except LabError as exc:
        progress(f"{exc}: taking a fresh base backup of {primary.name}")
        server.kill()
        _until(
            lambda: not primary.query(_SLOT_IN_USE, [server.name]),
            f"{primary.name} did not notice that {server.name} is gone",
        )
        server.clone(primary)
        _start_following(server, primary)
        return "base backup", str(exc)
    return "pg_rewind", None


def _rewind(server: Server, primary: Server) -> None:
    # pg_rewind reads the source's timeline from its control file, which only a
    # checkpoint after the promotion brings up to date; a spread one can take minutes.
    primary.query("CHECKPOINT")
    server.clear_locks()
    server.run(
        "pg_rewind",
        ["-D", server.data, "--source-server", server.conninfo_to(primary, "postgres"),
         "--config-file", server.folder / "postgresql.conf"],
    )  # fmt: skip


def _start_following(server: Server, primary: Server) -> None:
    server.configure(upstream=primary)
    server.mark_standby()
    server.start()
    # From its time as a primary; on a replica they would hold WAL for ever.
    server.query(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
        "WHERE NOT active"
    )
    wait_streaming(primary, [server.name], timeout_s=15)


def _follow(folder: Path, lab: LabState, name: str) -> LabState:
    """Point another running replica at the new primary; one that cannot is left."""
    server = server_of(folder, lab, name)
    if server.condition() != "running":
        return lab
    primary = server_of(folder, lab, "primary")
    server.configure(upstream=primary)
    server.reload()
    try:
        wait_streaming(primary, [name], timeout_s=5)
    except LabError:  # it replayed more than the new primary has: only a rewind helps
        server.stop()
        _rewind(server, primary)
        _start_following(server, primary)
    lab = lab.following(name, lab.primary)
    apply(folder, lab)
    return lab


def _furthest(folder: Path, lab: LabState) -> str:
    """Return the running replica that received the most."""
    positions: dict[str, int] = {}
    for node in lab.nodes:
        server = server_of(folder, lab, node.name)
        if lab.role(node.name) == "replica" and server.condition() == "running":
            position = server.query("SELECT pg_last_wal_receive_lsn() - '0/0'::pg_lsn")[
                0
            ][0]
            positions[node.name] = int(position or 0)
    if not positions:
        raise LabError(
            f"lab {lab.name} has no running replica to promote: start one with "
            "`authkit lab rejoin`"
        )
    return max(positions, key=positions.__getitem__)


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


def _require_running(server: Server) -> None:
    condition = server.condition()
    if condition != "running":
        raise LabError(f"{server.name} is {condition}")


def _loaded(folder: Path) -> LabState:
    lab = state.load(folder)
    if lab is None:
        raise LabError(f"there is no lab {folder.name}")
    return lab


def _until(
    condition: Callable[[], bool], otherwise: str, *, timeout_s: float = 30.0
) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"{otherwise} within {timeout_s:g} s")
        time.sleep(0.005)
