"""Bring a lab up: programs, folder, primary, replicas, synchronous commit."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

from authkit.errors import InvalidInput, LabError
from authkit.lab import account, places, programs, replication, state, watcher
from authkit.lab.configuration import DATABASE
from authkit.lab.ending import remove
from authkit.lab.lab import Lab, Progress, silent
from authkit.lab.processes import Process, identify
from authkit.lab.reaping import reap
from authkit.lab.server import server_of
from authkit.lab.state import LabState

# The replicas report once a second: a shorter patience would fire between reports.
_LEAST_PATIENCE_S = 2.0


@contextlib.contextmanager
def cluster(
    replicas: int = 1,
    *,
    name: str | None = None,
    synchronous: bool = True,
    degrade_after_s: float | None = None,
    port: int | None = None,
    config: Mapping[str, str] | None = None,
    root: Path | None = None,
    in_memory: bool = False,
    bindir: Path | None = None,
    progress: Progress = silent,
) -> Generator[Lab]:
    """Run a lab for the length of a `with` block.

    It is removed at the end of the block and also when this process dies, however it
    dies and from whichever thread it was started. Arguments and errors are `up`'s.
    """
    me = identify(os.getpid())
    lab = up(
        name or f"run-{os.getpid()}-{secrets.token_hex(3)}",
        replicas,
        synchronous=synchronous,
        degrade_after_s=degrade_after_s,
        port=port,
        config=config,
        root=root,
        in_memory=in_memory,
        bindir=bindir,
        progress=progress,
        owner=me,
    )
    try:
        yield lab
    finally:
        # Not in a forked child that leaves the block, not when it is gone already.
        if me == identify(os.getpid()) and lab.folder.exists():
            lab.down()


def up(
    name: str = "default",
    replicas: int = 1,
    *,
    synchronous: bool = True,
    degrade_after_s: float | None = None,
    port: int | None = None,
    config: Mapping[str, str] | None = None,
    root: Path | None = None,
    in_memory: bool = False,
    bindir: Path | None = None,
    progress: Progress = silent,
    owner: Process | None = None,
) -> Lab:
    """Start a lab that outlives this program; returns once it is ready to write.

    Labs whose program and watcher were killed together are removed first.

    Args:
        name: what it is called; two labs of one name cannot be.
        replicas: how many replicas follow the primary.
        synchronous: commits wait for a replica; losing the last one blocks them.
        degrade_after_s: ... unless no replica was seen for that many seconds.
        port: the primary's port, the replicas take the next ones; default: free ones.
        config: further server settings.
        root: the state folder; default: AUTHKIT_STATE_DIR, or one per user.
        in_memory: in /dev/shm where there is room: two to four times faster to start,
            and a commit waits for no disk.
        bindir: PostgreSQL's programs; default: AUTHKIT_PG_BINDIR, or what is found.
        progress: called with each step in words.
        owner: a process that the lab must not outlive.

    Raises:
        ConfigError: the state folder cannot be used, or the environment is malformed.
        InvalidInput: an argument makes no sense.
        LabError: a lab of this name exists, a port is taken, no PostgreSQL was found,
            root has no account to run it, or a server did not start.
    """
    synchronous = synchronous and replicas > 0
    if degrade_after_s is not None and not synchronous:
        raise InvalidInput("only a lab whose commits wait for a replica can degrade")
    if degrade_after_s is not None and degrade_after_s < _LEAST_PATIENCE_S:
        raise InvalidInput(f"degrading takes {_LEAST_PATIENCE_S:g} seconds at least")
    if not Path("/proc/self/stat").exists():
        raise LabError(
            "the lab reads its processes from /proc, which only Linux has: name a "
            "server of your own in DATABASE_URL"
        )
    if root is None and in_memory:
        root = places.memory_root()
    root = places.state_root(root)
    bindir = bindir or _configured_bindir()
    who = account.choose()
    reap()
    nodes = places.plan_nodes(replicas, port, _ports_of(labs(root=root)))
    folder = places.make_folder(root, name, who)
    try:
        with state.locked(folder):
            progress("Looking for PostgreSQL")
            tools = programs.find(bindir, who, root / "programs")
            lab = LabState(
                name=name,
                token=secrets.token_hex(4),
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                bindir=str(tools.bindir),
                version=tools.version_text,
                account=who.name,
                password=secrets.token_urlsafe(24),
                sockets=str(places.socket_folder(folder, who)),
                primary=nodes[0].name,
                nodes=nodes,
                synchronous=synchronous,
                degrade_after_s=degrade_after_s,
                owner=owner,
                config=tuple((config or {}).items()),
            )
            state.save(folder, lab)
            if lab.owner is not None or lab.degrade_after_s is not None:
                lab = replace(lab, watcher=watcher.spawn(folder))
            _build(folder, lab, progress)
    except BaseException:
        # What went wrong first is what the caller must hear.
        with contextlib.suppress(LabError), state.locked(folder):
            remove(folder)
        raise
    return Lab(folder)


def find(name: str = "default", *, root: Path | None = None) -> Lab:
    """Return a lab by name, one that is down or half-made too.

    Args:
        name: as it was started.
        root: the state folder; default: AUTHKIT_STATE_DIR, or one per user.

    Raises:
        LabError: there is none; the message names those that are.
    """
    for lab in labs(root=root):
        if lab.name == name:
            return lab
    others = ", ".join(lab.name for lab in labs(root=root))
    if others:
        raise LabError(f"there is no lab {name} (there is: {others})")
    raise LabError(f"there is no lab {name}: `authkit lab up` starts one")


def labs(*, root: Path | None = None) -> tuple[Lab, ...]:
    """Return every lab of a state folder, half-made and left-behind ones too.

    Without a folder: those of the user's own, in memory as well.
    """
    return tuple(
        Lab(folder) for place in places.roots(root) for folder in places.folders(place)
    )


def rebuild(folder: Path, progress: Progress) -> None:
    """Make a locked lab as new, on the same ports, with the same password.

    Raises:
        LabError: a server did not start; the lab is half-made then.
    """
    lab = state.load(folder)
    if lab is None:
        raise LabError(f"there is no lab {folder.name}")
    progress("Removing what is there")
    for node in lab.nodes:
        server = server_of(folder, lab, node.name)
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)
    first = lab.nodes[0].name
    nodes = tuple(
        replace(node, follows=None if node.name == first else first)
        for node in lab.nodes
    )
    lab = replace(lab, nodes=nodes, primary=first, degraded=False, ready=False)
    _build(folder, lab, progress)


def _build(folder: Path, lab: LabState, progress: Progress) -> None:
    state.save(folder, lab)
    primary, *replicas = (server_of(folder, lab, node.name) for node in lab.nodes)
    progress(f"Making the primary (PostgreSQL {lab.version})")
    primary.prepare()
    primary.initialise()
    primary.configure(upstream=None, durable=False)
    primary.start()
    primary.query("CREATE EXTENSION pg_stat_statements", dbname="template1")
    primary.query(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    for replica in replicas:
        progress(f"Copying the primary to {replica.name}")
        replication.make_slots(primary, [replica.name])
        replica.prepare()
        replica.clone(primary)
        replica.configure(upstream=primary, durable=False)
        replica.start()
    progress("Waiting until every replica streams")
    replication.wait_streaming(primary, replicas)
    for replica in replicas:
        replica.configure(upstream=primary)
        replica.reload()
    lab = replace(lab, ready=True)
    replication.apply(folder, lab)
    replication.wait_confirming(folder, lab)


def _ports_of(others: Iterable[Lab]) -> frozenset[int]:
    ports: set[int] = set()
    for other in others:
        with contextlib.suppress(LabError):  # damaged, or removed just now
            ports.update(node.port for node in other.state.nodes)
    return frozenset(ports)


def _configured_bindir() -> Path | None:
    from authkit.settings import Settings

    return Settings.load().authkit_pg_bindir
