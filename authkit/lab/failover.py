"""Promotion, and the way back for a node that a promotion left behind.

Every function here expects the lab to be locked, and saves the state it reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, LiteralString

from authkit.errors import LabError
from authkit.lab import state
from authkit.lab.replication import (
    apply,
    make_slots,
    received_bytes,
    wait_confirming,
    wait_streaming,
    wait_until,
)
from authkit.lab.server import Server, server_of
from authkit.lab.state import LabState

How = Literal["already streaming", "restarted", "pg_rewind", "base backup", "Patroni"]
Progress = Callable[[str], None]
# A replica that can follow does so in a fifth of a second; a busy machine takes longer.
_FOLLOW_S = 10.0


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


def promote(folder: Path, node: str | None, *, fence: bool) -> str:
    """Make a replica the primary and let the other replicas follow it.

    Commits wait for the replicas that follow the new primary, for none if none does.

    Raises:
        LabError: the node is no replica, does not run, or does not take over in time.
    """
    lab = _loaded(folder)
    old = server_of(folder, lab, "primary")
    if fence and old.condition() == "running":
        _chosen(lab, node, _received(folder, lab))  # or refuse before it is stopped
        old.stop()
    received = _received(folder, lab)
    chosen = _chosen(lab, node, received)
    server = server_of(folder, lab, chosen)
    with server.connect("postgres") as connection:
        connection.execute("SELECT pg_promote(wait => false)")
        wait_until(
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
    for other in received:
        if other != chosen:
            lab = _follow(folder, lab, other, ahead=received[other] > received[chosen])
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
            wait_streaming(primary, [server], timeout_s=_FOLLOW_S)
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
        wait_until(
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
         "--config-file", server.folder / "postgresql.conf", "--no-sync"],
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
    wait_streaming(primary, [server], timeout_s=15)


def _follow(folder: Path, lab: LabState, name: str, *, ahead: bool) -> LabState:
    """Make another running replica follow the new primary; rewind it if it must be."""
    server = server_of(folder, lab, name)
    primary = server_of(folder, lab, "primary")
    if not ahead:
        server.configure(upstream=primary)
        server.reload()
        try:
            wait_streaming(primary, [server], timeout_s=_FOLLOW_S)
        except LabError:  # it has what the new primary has not
            ahead = True
    if ahead:
        server.stop()
        _rewind(server, primary)
        _start_following(server, primary)
    lab = lab.following(name, lab.primary)
    apply(folder, lab)
    return lab


def _received(folder: Path, lab: LabState) -> dict[str, int]:
    """Return the running replicas and how far each one's copy of the WAL reaches."""
    servers = [
        server_of(folder, lab, node.name)
        for node in lab.nodes
        if lab.role(node.name) == "replica"
    ]
    return {
        server.name: received_bytes(server)
        for server in servers
        if server.condition() == "running"
    }


def _chosen(lab: LabState, node: str | None, received: Mapping[str, int]) -> str:
    if node is not None:
        name = lab.node(node).name
        if lab.role(name) != "replica":
            raise LabError(
                f"{name} is no replica of {lab.primary}: it is {lab.role(name)}"
            )
        if name not in received:
            raise LabError(f"{name} does not run: start or thaw it first")
        return name
    if not received:
        raise LabError(
            f"lab {lab.name} has no running replica to promote: "
            "`authkit lab rejoin` brings one back"
        )
    return max(received, key=received.__getitem__)


def _require_running(server: Server) -> None:
    condition = server.condition()
    if condition != "running":
        raise LabError(f"{server.name} is {condition}")


def _loaded(folder: Path) -> LabState:
    lab = state.load(folder)
    if lab is None:
        raise LabError(f"there is no lab {folder.name}")
    return lab
