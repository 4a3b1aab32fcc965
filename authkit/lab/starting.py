"""Bring a lab up: programs, folder, primary, replicas, synchronous commit."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

from authkit.errors import ConfigError, LabError
from authkit.lab import account, programs, state
from authkit.lab.lab import Lab, server_of, wait_streaming
from authkit.lab.processes import Process, identify
from authkit.lab.server import DATABASE, HOST
from authkit.lab.state import LabState, NodeState

Progress = Callable[[str], None]
# A socket's path ends up in sockaddr_un.sun_path: 108 bytes with its final NUL.
_LONGEST_SOCKETS = 107 - len("/.s.PGSQL.65535.lock")


def _silent(_: str) -> None: ...


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
    bindir: Path | None = None,
    progress: Progress = _silent,
) -> Iterator[Lab]:
    """Run a lab for the length of a `with` block; it dies with this process.

    Args: as of `up`.
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
        bindir=bindir,
        progress=progress,
        owner=me,
    )
    try:
        yield lab
    finally:
        if lab.folder.exists():
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
    bindir: Path | None = None,
    progress: Progress = _silent,
    owner: Process | None = None,
) -> Lab:
    """Start a lab that outlives this program.

    Args:
        name: what it is called; two labs of one name cannot be.
        replicas: how many replicas follow the primary.
        synchronous: commits wait for a replica.
        degrade_after_s: without any replica for that long, commits stop waiting.
        port: the primary's port, the replicas take the next ones; default: free ones.
        config: further server settings.
        root: the state folder; default: AUTHKIT_STATE_DIR, or one per user.
        bindir: PostgreSQL's programs; default: AUTHKIT_PG_BINDIR, or what is found.
        progress: called with each step in words.
        owner: the process that the lab must not outlive.
    """
    root = root or _from_environment("AUTHKIT_STATE_DIR") or state.default_root()
    bindir = bindir or _from_environment("AUTHKIT_PG_BINDIR")
    root = root.absolute()
    folder = state.folder_of(root, state.check_name(name))
    who = account.choose()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o711 if who.switch else 0o700)
    except FileExistsError:
        raise LabError(f"lab {name} exists already") from None
    except OSError as exc:
        raise ConfigError(
            [f"the state folder {root} cannot be written: {exc.strerror}"]
        ) from exc
    lab = Lab(folder)
    try:
        with state.locked(folder):
            progress("Looking for PostgreSQL")
            tools = programs.find(bindir, who, root / "programs")
            initial = LabState(
                name=name,
                token=secrets.token_hex(4),
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                bindir=str(tools.bindir),
                version=tools.version_text,
                account=who.name,
                password=secrets.token_urlsafe(24),
                sockets=str(_socket_folder(folder, who)),
                primary="node1",
                nodes=_nodes(replicas, port),
                synchronous=synchronous and replicas > 0,
                degrade_after_s=degrade_after_s,
                owner=owner,
                config=tuple((config or {}).items()),
            )
            state.save(folder, initial)
            _build(folder, initial, progress)
            state.save(folder, replace(initial, ready=True))
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            lab.down()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return lab


def _build(folder: Path, lab: LabState, progress: Progress) -> None:
    primary, *replicas = (server_of(folder, lab, node) for node in lab.nodes)
    progress("Making the primary")
    primary.prepare()
    primary.initialise()
    primary.configure(upstream=None)
    primary.start()
    primary.query("CREATE EXTENSION pg_stat_statements", dbname="template1")
    primary.query(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    for replica in replicas:
        progress(f"Copying the primary to {replica.name}")
        primary.query(
            "SELECT pg_create_physical_replication_slot(%s, true)", [replica.name]
        )
        replica.prepare()
        replica.clone(primary)
        replica.configure(upstream=primary)
        replica.start()
    wait_streaming(primary, [replica.name for replica in replicas])
    if lab.synchronous:
        names = ", ".join(replica.name for replica in replicas)
        primary.configure(upstream=None, synchronous=f"ANY 1 ({names})")
        primary.reload()


def _nodes(replicas: int, port: int | None) -> tuple[NodeState, ...]:
    count = replicas + 1
    ports = _free_ports(count) if port is None else list(range(port, port + count))
    for asked in ports:
        if not _is_free(asked):
            raise LabError(f"port {asked} is taken: choose another, or leave it out")
    return tuple(
        NodeState(f"node{n}", p, None if n == 1 else "node1")
        for n, p in enumerate(ports, start=1)
    )


def _free_ports(count: int) -> list[int]:
    # Below the range of outgoing connections: a port stays ours while a node is down.
    found: list[int] = []
    for candidate in random.SystemRandom().sample(range(15_000, 32_000), 2_000):
        if _is_free(candidate):
            found.append(candidate)
        if len(found) == count:
            return found
    raise LabError("no free port on 127.0.0.1 between 15000 and 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _socket_folder(folder: Path, who: account.Account) -> Path:
    chosen = folder / "sockets"
    if len(os.fsencode(chosen)) > _LONGEST_SOCKETS:
        chosen = Path(tempfile.mkdtemp(prefix="authkit-"))
    else:
        chosen.mkdir()
    who.own(chosen, 0o700)
    return chosen


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None
