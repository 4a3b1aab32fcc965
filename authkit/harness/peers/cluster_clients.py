"""Clients of a primary and its replicas, as their users would set them up.

Each offers two things: to take a connection and give it back, and to write one row. All
of them connect with the same limits, are told of the same nodes, and repeat nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from authkit.cluster import AsyncCluster, Cluster
from authkit.harness.drills.servers import settings_of

if TYPE_CHECKING:
    from authkit.harness.drills.servers import Servers

TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS public.peer_writes (peer text NOT NULL, number bigint)
"""
INSERT: LiteralString = """
INSERT INTO public.peer_writes (peer, number) VALUES (%s, %s)
RETURNING ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
"""
# As many as our own defaults allow.
LEAST: Final = 2
MOST: Final = 20
_READY_S: Final = 15.0
_CONNECT_S: Final = 2


@dataclass(frozen=True, slots=True)
class SyncPeer:
    """A client for threads. `touch` takes a connection and gives it back.

    `write` returns the timeline on which the server wrote.
    """

    name: str
    touch: Callable[[], object]
    write: Callable[[int], int]
    close: Callable[[], object]
    fails_over: bool = True


@dataclass(frozen=True, slots=True)
class AsyncPeer:
    """A client for asyncio; see `SyncPeer`."""

    name: str
    touch: Callable[[], Awaitable[object]]
    write: Callable[[int], Awaitable[int]]
    close: Callable[[], Awaitable[object]]
    fails_over: bool = True


@dataclass(frozen=True, slots=True)
class Missing:
    """A peer that cannot run here, and why."""

    name: str
    reason: str


def multi_host(servers: Servers) -> str:
    """Return libpq's connection string for whichever node takes writes."""
    parts = [conninfo_to_dict(servers.url(name)) for name in _ordered(servers)]
    first = {k: v for k, v in parts[0].items() if k not in {"host", "port"}}
    return make_conninfo(
        "",
        **first,
        host=",".join(str(part["host"]) for part in parts),
        port=",".join(str(part["port"]) for part in parts),
        target_session_attrs="read-write",
        connect_timeout=_CONNECT_S,
    )


def _ordered(servers: Servers) -> Sequence[str]:
    return (
        servers.primary,
        *(name for name in servers.nodes if name != servers.primary),
    )


def _timeline(row: Any) -> int:
    return 0 if row is None else int(row[0])


def pooled(name: str, conninfo: str, *, fails_over: bool) -> SyncPeer:
    """psycopg_pool alone."""
    pool = ConnectionPool(
        conninfo,
        min_size=LEAST,
        max_size=MOST,
        kwargs={"autocommit": True},
        open=False,
        name=name,
    )
    pool.open(wait=True, timeout=_READY_S)

    def touch() -> None:
        with pool.connection():
            pass

    def write(number: int) -> int:
        with pool.connection() as connection:
            return _timeline(connection.execute(INSERT, (name, number)).fetchone())

    return SyncPeer(name, touch, write, lambda: pool.close(timeout=1), fails_over)


async def pooled_async(name: str, conninfo: str, *, fails_over: bool) -> AsyncPeer:
    """psycopg_pool alone, for asyncio."""
    pool = AsyncConnectionPool(
        conninfo,
        min_size=LEAST,
        max_size=MOST,
        kwargs={"autocommit": True},
        open=False,
        name=name,
    )
    await pool.open(wait=True, timeout=_READY_S)

    async def touch() -> None:
        async with pool.connection():
            pass

    async def write(number: int) -> int:
        async with pool.connection() as connection:
            cursor = await connection.execute(INSERT, (name, number))
            return _timeline(await cursor.fetchone())

    return AsyncPeer(name, touch, write, lambda: pool.close(timeout=1), fails_over)


def pre_pinged(name: str, servers: Servers) -> SyncPeer:
    """SQLAlchemy's own pool with `pool_pre_ping`, over libpq's list of hosts."""
    from sqlalchemy import create_engine

    conninfo = multi_host(servers)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo, autocommit=True),
        pool_pre_ping=True,
        pool_size=LEAST,
        max_overflow=MOST - LEAST,
        isolation_level="AUTOCOMMIT",
    )
    # Filled beforehand, as the other pools are.
    filled = [engine.connect() for _ in range(LEAST)]
    for connection in filled:
        connection.close()

    def touch() -> None:
        with engine.connect():
            pass

    def write(number: int) -> int:
        with engine.connect() as connection:
            return _timeline(connection.exec_driver_sql(INSERT, (name, number)).first())

    return SyncPeer(name, touch, write, engine.dispose)


def ours(name: str, servers: Servers) -> SyncPeer:
    """Our cluster, for threads."""
    cluster = Cluster(settings_of(servers))
    cluster.open(wait=_READY_S)

    def touch() -> None:
        with cluster.writer():
            pass

    def write(number: int) -> int:
        with cluster.writer() as connection:
            return _timeline(connection.execute(INSERT, (name, number)).fetchone())

    return SyncPeer(name, touch, write, lambda: cluster.close(timeout=1))


async def ours_async(name: str, servers: Servers) -> AsyncPeer:
    """Our cluster, for asyncio."""
    cluster = AsyncCluster(settings_of(servers))
    await cluster.open(wait=_READY_S)

    async def touch() -> None:
        async with cluster.writer():
            pass

    async def write(number: int) -> int:
        async with cluster.writer() as connection:
            cursor = await connection.execute(INSERT, (name, number))
            return _timeline(await cursor.fetchone())

    return AsyncPeer(name, touch, write, lambda: cluster.close(timeout=1))


async def hasql(name: str, servers: Servers) -> AsyncPeer | Missing:
    """A `PoolManager` of hasql over psycopg_pool, with its own defaults."""
    try:
        from hasql.driver.psycopg3 import PoolManager
    except ImportError:
        return Missing(name, "hasql is not installed: pip install hasql")
    nodes = [urlsplit(servers.url(node)) for node in _ordered(servers)]
    hosts = ",".join(f"{node.hostname}:{node.port}" for node in nodes)
    first = nodes[0]
    dsn = (
        f"postgresql://{first.username}:{first.password}@{hosts}{first.path}"
        f"?connect_timeout={_CONNECT_S}"
    )
    manager: Any = PoolManager(
        dsn,
        pool_factory_kwargs={
            "min_size": LEAST,
            "max_size": MOST,
            "kwargs": {"autocommit": True},
        },
    )
    await manager.ready(timeout=int(_READY_S))

    async def touch() -> None:
        async with manager.acquire_master():
            pass

    async def write(number: int) -> int:
        async with manager.acquire_master() as connection:
            cursor = await connection.execute(INSERT, (name, number))
            return _timeline(await cursor.fetchone())

    return AsyncPeer(name, touch, write, manager.close)


def versions() -> dict[str, str]:
    """Return the version of every library that is measured and there."""
    found: dict[str, str] = {}
    for package in ("authkit", "psycopg", "psycopg-pool", "sqlalchemy", "hasql"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
