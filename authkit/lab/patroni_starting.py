"""Bring a Patroni lab up for the length of a block, and down however that ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Generator
from pathlib import Path

from authkit.errors import LabError
from authkit.lab import account, patroni_watcher, places
from authkit.lab.lab import Progress, silent
from authkit.lab.patroni import PatroniLab
from authkit.lab.processes import identify


@contextlib.contextmanager
def patroni_cluster(
    nodes: int = 3,
    *,
    root: Path | None = None,
    in_memory: bool = False,
    progress: Progress = silent,
) -> Generator[PatroniLab]:
    """Run a Patroni cluster for the length of a `with` block.

    It is removed at the end of the block and also when this process dies, however it
    dies.

    Args:
        nodes: how many; a synchronous failover needs two at least.
        root: the folder for it; default: the state folder.
        in_memory: in /dev/shm where there is room.
        progress: called with each step in words.

    Raises:
        LabError: Patroni or etcd is not installed, no interpreter can be run by the
            servers' account, or the nodes did not come up.
    """
    if not 2 <= nodes <= 4:  # a machine's fill
        raise LabError(f"{nodes} nodes: a Patroni lab has 2 to 4")
    if root is None and in_memory:
        root = places.memory_root()
    who = account.choose()
    me = identify(os.getpid())
    name = f"patroni-{os.getpid()}-{secrets.token_hex(3)}"
    folder = places.make_folder(places.state_root(root) / "patroni", name, who)
    lab: PatroniLab | None = None
    try:
        if me is not None:
            patroni_watcher.spawn(folder, me)
        lab = PatroniLab(folder, who, nodes)
        lab.up(progress)
        yield lab
    finally:
        # Not in a forked child that leaves the block.
        if me == identify(os.getpid()):
            if lab is None:
                shutil.rmtree(folder)
            else:
                lab.down()
