"""The stacks beside pgbench: ours, psycopg_pool, asyncpg; each a loop over keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from importlib import import_module
from itertools import count, cycle
from time import perf_counter, thread_time
from typing import Any, Final

import psycopg
from psycopg_pool import ConnectionPool

import authkit
from authkit.cluster import Intent
from authkit.harness.peers import hot_world as world
from authkit.hot import AsyncHot, AttemptRecord, Hot, RatePolicy
from authkit.settings import Settings

POLICY: Final = RatePolicy("bench", 20, timedelta(seconds=20))
_ZERO: Final = timedelta(0)
_BOUND: Final = timedelta(days=1)


def call_of(hot: Any, operation: str) -> Callable[[int], Any]:
    """Return one operation of ours as a function of a key; of either colour."""
    if operation == "validate":
        return lambda key: hot.sessions.validate(world.token(key))
    if operation == "touched":
        # One in a hundred was idle for long enough to be touched.
        turn = count()
        return lambda key: hot.sessions.validate(
            world.token(key), touch_every=_BOUND if next(turn) % 100 else _ZERO
        )
    if operation == "touch":
        return lambda key: hot.sessions.touch(world.session_id(key), every=_ZERO)
    if operation == "attempt":
        return lambda key: hot.attempts.record(
            AttemptRecord(
                outcome="failed",
                subject=sha256(str(key).encode()).digest(),
                ip="192.0.2.1",
                user_agent="Mozilla/5.0",
            )
        )
    return lambda key: hot.rate_limits.check(f"key:{key}", "bench", POLICY)


def in_threads(
    call: Callable[[int], Any], keys: list[int], clients: int, seconds: float
) -> float:
    """Return calls a second of so many threads."""
    ready = threading.Barrier(clients + 1)
    done: list[int] = []
    failed: list[BaseException] = []
    end = 0.0

    def client(number: int) -> None:
        own = keys[number::clients]
        made = 0
        call(own[0])
        ready.wait()
        try:
            while perf_counter() < end:
                call(own[made % len(own)])
                made += 1
        except BaseException as exc:
            failed.append(exc)
            raise
        finally:
            done.append(made)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    end = perf_counter() + seconds + 0.05
    ready.wait()
    began = perf_counter()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return sum(done) / (perf_counter() - began)


async def in_tasks(
    call: Callable[[int], Awaitable[Any]],
    keys: list[int],
    clients: int,
    seconds: float,
) -> float:
    """Return calls a second of so many tasks."""
    source: Iterator[int] = cycle(keys)
    await asyncio.gather(*(call(next(source)) for _ in range(clients)))
    made = 0
    end = perf_counter() + seconds

    async def client() -> None:
        nonlocal made
        while perf_counter() < end:
            await call(next(source))
            made += 1

    began = perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return made / (perf_counter() - began)


def ours_in_threads(
    settings: Settings,
    operation: str,
    keys: list[int],
    clients: int,
    seconds: float,
    *,
    coalesced: bool = False,
) -> float:
    """Return calls a second of ours, for threads."""
    with authkit.connect(settings) as kit:
        hot: Hot = kit.coalesced if coalesced else kit.hot
        return in_threads(call_of(hot, operation), keys, clients, seconds)


def ours_in_tasks(
    settings: Settings,
    operation: str,
    keys: list[int],
    clients: int,
    seconds: float,
    *,
    coalesced: bool = False,
) -> float:
    """Return calls a second of ours, for tasks."""

    async def run() -> float:
        async with authkit.connect_async(settings) as kit:
            hot: AsyncHot = kit.coalesced if coalesced else kit.hot
            return await in_tasks(call_of(hot, operation), keys, clients, seconds)

    return asyncio.run(run())


def client_cpu_us(settings: Settings, keys: list[int], calls: int = 4000) -> float:
    """Return a thread's CPU time of one validate, in microseconds, all of it."""
    with authkit.connect(settings) as kit:
        return _cpu_us(call_of(kit.hot, "validate"), keys, calls)


def bookkeeping_cpu_us(settings: Settings, calls: int = 40_000) -> float:
    """Return what of it goes into the lease, the breaker and the checks of both."""
    with authkit.connect(settings) as kit:
        cluster = kit.cluster

        def call(_: int) -> None:
            connection = cluster.at_once(Intent.READ)
            if connection is None:  # nothing was in use a moment ago
                with cluster.writer():
                    return
            if not connection.home.reclaim(connection):
                cluster.end(connection)

        return _cpu_us(call, [0], calls)


def bare_cpu_us(settings: Settings, keys: list[int], calls: int = 4000) -> float:
    """Return the same of libpq alone: the prepared statement, and nothing else."""
    url = settings.require_database().urls[0].get_secret_value()
    digests = {key: sha256(world.token(key).encode()).digest() for key in keys}
    with psycopg.connect(url, autocommit=True) as connection:
        run = connection.pgconn
        run.prepare(b"bare", world.SINGLE["validate"].sql.encode(), [17])
        return _cpu_us(
            lambda key: run.exec_prepared(b"bare", [digests[key]], [1], 1), keys, calls
        )


def _cpu_us(call: Callable[[int], Any], keys: list[int], calls: int) -> float:
    """Measure in a thread of its own, as a server's workers are; the best of ten parts.

    Whatever else the machine does can only add to it: caches that others emptied.
    """
    part = calls // 10

    def measure() -> float:
        own = cycle(keys)
        spent: list[float] = []
        for _ in range(11):  # the first one prepares
            began = thread_time()
            for _ in range(part):
                call(next(own))
            spent.append(thread_time() - began)
        return min(spent) / part * 1e6

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(measure).result()


def psycopg_pool_in_threads(
    url: str, keys: list[int], clients: int, seconds: float
) -> float:
    """Return validations a second of psycopg_pool and a cursor."""
    sql = world.SINGLE["validate"].sql.replace("$1", "%s")
    with ConnectionPool(
        url,
        min_size=10,
        max_size=20,
        kwargs={"autocommit": True, "prepare_threshold": 0},
    ) as pool:

        def call(key: int) -> Any:
            digest = sha256(world.token(key).encode()).digest()
            with pool.connection() as connection:
                return connection.execute(sql.encode(), (digest,)).fetchone()

        return in_threads(call, keys, clients, seconds)


def asyncpg_in_tasks(url: str, keys: list[int], clients: int, seconds: float) -> float:
    """Return validations a second of asyncpg's pool."""
    asyncpg: Any = import_module("asyncpg")

    async def run() -> float:
        sql = world.SINGLE["validate"].sql
        async with asyncpg.create_pool(url, min_size=10, max_size=10) as pool:

            async def call(key: int) -> Any:
                return await pool.fetchrow(
                    sql, sha256(world.token(key).encode()).digest()
                )

            return await in_tasks(call, keys, clients, seconds)

    return asyncio.run(run())
