"""Bring a Patroni lab up for the length of a block, and down however that ends."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import (
    account,
    patroni_processes,
    patroni_state,
    patroni_watcher,
    places,
    programs,
)
from authkit.lab.lab import Progress, silent
from authkit.lab.patroni import PatroniLab
from authkit.lab.patroni_configuration import Ports
from authkit.lab.patroni_state import PatroniState
from authkit.lab.processes import identify
from authkit.lab.reaping import reap


@contextlib.contextmanager
def patroni_cluster(
    nodes: int = 3,
    *,
    name: str | None = None,
    root: Path | None = None,
    in_memory: bool = False,
    progress: Progress = silent,
) -> Generator[PatroniLab]:
    """Run a Patroni cluster for the length of a `with` block.

    It is removed at the end of the block and also when this process dies, however it
    dies.

    Args:
        nodes: how many; a synchronous failover needs two at least.
        name: what it is called; default: one of its own.
        root: the folder for it; default: the state folder.
        in_memory: in /dev/shm where there is room.
        progress: called with each step in words.

    Raises:
        LabError: Patroni or etcd is not installed, no interpreter can be run by the
            servers' account, or the nodes did not come up.
    """
    if not 2 <= nodes <= 4:  # a machine's fill
        raise LabError(f"{nodes} nodes: a Patroni lab has 2 to 4")
    me = identify(os.getpid())
    if me is None:
        raise LabError("the lab reads its processes from /proc, which only Linux has")
    if root is None and in_memory:
        root = places.memory_root()
    reap()
    who = account.choose()
    scope = f"patroni-{os.getpid()}-{secrets.token_hex(3)}"
    folder = places.make_folder(places.state_root(root) / "patroni", name or scope, who)
    lab: PatroniLab | None = None
    try:
        watcher = patroni_watcher.spawn(folder, me, scope)
        tools = programs.find(None, who, folder.parents[2] / "programs")
        free = [n.port for n in places.plan_nodes(2 * nodes, None)]
        known = PatroniState(
            scope=scope,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            bindir=str(tools.bindir),
            version=tools.version_text,
            account=who.name,
            password=secrets.token_urlsafe(18),
            store=free[-1],
            nodes={
                f"node{n + 1}": Ports(free[2 * n], free[2 * n + 1])
                for n in range(nodes)
            },
            owner=me,
            watcher=watcher,
        )
        patroni_state.save(folder, known)
        lab = PatroniLab(folder, known)
        lab.up(progress)
        patroni_state.save(folder, replace(known, ready=True))
        yield lab
    finally:
        # Not in a forked child that leaves the block.
        if me == identify(os.getpid()):
            patroni_processes.remove(folder, scope)


def patroni_labs(*, root: Path | None = None) -> tuple[PatroniLab, ...]:
    """Return every Patroni lab that runs or was left behind, as `labs` the others."""
    found: list[PatroniLab] = []
    for place in places.roots(root):
        for folder in places.folders(place / "patroni"):
            with contextlib.suppress(LabError):  # of another version, or of root's
                known = patroni_state.load(folder)
                if known is not None:
                    found.append(PatroniLab(folder, known))
    return tuple(found)
