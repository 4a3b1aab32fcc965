"""Waiting, spawning and locking for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextlib import suppress
from time import monotonic
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Engine as CoreEngine
from sqlalchemy.dialects.postgresql.psycopg import AsyncAdapt_psycopg_connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

from authkit.cluster._primitives.outside import beside

Lock = asyncio.Lock
Connection: TypeAlias = AsyncConnection
Engine: TypeAlias = AsyncEngine
Worker: TypeAlias = "asyncio.Task[None]"
Result = TypeVar("Result")


class Signal:
    """Wakes everybody who waits, each time it is raised; counts how often."""

    __slots__ = ("_waiting", "count")

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[asyncio.Future[None]] = []

    def raised(self) -> None:
        """Wake everybody."""
        self.count += 1
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, seen: int, limit_s: float) -> bool:
        """Wait until it was raised since `seen`; False when the time ran out."""
        deadline = monotonic() + limit_s
        while self.count == seen:
            remaining = deadline - monotonic()
            if remaining <= 0:
                return False
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            self._waiting.append(future)
            timer = loop.call_later(remaining, _wake, future)
            try:
                await future
            finally:
                timer.cancel()
                with suppress(ValueError):
                    self._waiting.remove(future)
        return True


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def spawn(
    function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any, name: str
) -> Worker:
    """Run in the background."""
    return asyncio.create_task(function(*arguments), name=name)


async def join(worker: Worker, limit_s: float) -> bool:
    """Wait for a worker to end; cancel one that does not. False if it did not."""
    done, _ = await asyncio.wait({worker}, timeout=max(limit_s, 0))
    if not done:
        worker.cancel()
        await asyncio.wait({worker}, timeout=1.0)
        return False
    if not worker.cancelled():
        worker.exception()  # marks it as seen; the worker has logged it
    return True


def is_done(worker: Worker) -> bool:
    """Whether a worker has ended."""
    return worker.done()


async def ready(fileno: int, *, write: bool, limit_s: float) -> bool:
    """Wait until a socket can be read (or written); False when the time ran out."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()
    timer = loop.call_later(max(limit_s, 0), _answer, future, False)
    if write:
        loop.add_writer(fileno, _answer, future, True)
    else:
        loop.add_reader(fileno, _answer, future, True)
    try:
        return await future
    finally:
        timer.cancel()
        if write:
            loop.remove_writer(fileno)
        else:
            loop.remove_reader(fileno)


def _answer(future: asyncio.Future[bool], answer: bool) -> None:
    if not future.done():
        future.set_result(answer)


async def nap(seconds: float) -> None:
    """Do nothing for a moment."""
    await asyncio.sleep(seconds)


async def outside(key: Hashable, function: Callable[[], Any], limit_s: float) -> Any:
    """Call what may wait for long; calls of one key that overlap are one call.

    Raises:
        TimeoutError: it goes on, but nobody waits any more.
    """
    future = asyncio.wrap_future(beside(key, function))
    return await asyncio.wait_for(future, max(limit_s, 0))


def core(engine: Engine) -> CoreEngine:
    """Return the engine that SQLAlchemy's events are registered on."""
    return engine.sync_engine


def settled(awaitable: Awaitable[Result]) -> Result:
    """Wait in a function that SQLAlchemy calls from within its greenlet."""
    return await_only(awaitable)


def adapted(dialect: Any, connection: Any) -> Any:
    """Return the connection as SQLAlchemy's dialect uses it."""
    return AsyncAdapt_psycopg_connection(dialect.dbapi, connection)


def driver_of(connection: Any) -> Any:
    """Return psycopg's connection beneath what `adapted` returned."""
    return connection.driver_connection
