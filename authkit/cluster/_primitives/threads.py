"""Waiting, spawning and locking for threads; under gevent, for greenlets.

Everything here is of the standard library's `threading` and `select`, which gevent
replaces; nothing waits in C.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any, TypeAlias, TypeVar

import psycopg_pool.pool
import sqlalchemy

from authkit.cluster._primitives.outside import beside

# A thread that is interrupted (Ctrl-C in a notebook), or a greenlet that is killed,
# while it waits for a connection loses for good the one it is handed at that moment:
# psycopg_pool tidies up after Exception only. It reads this name at each call.
psycopg_pool.pool.CLIENT_EXCEPTIONS = BaseException  # pyright: ignore[reportAttributeAccessIssue] # declared as type[Exception]

Lock = threading.Lock
Connection: TypeAlias = sqlalchemy.Connection
Engine: TypeAlias = sqlalchemy.Engine
Worker: TypeAlias = threading.Thread
Result = TypeVar("Result")


class Signal:
    """Wakes everybody who waits, each time it is raised; counts how often."""

    __slots__ = ("_condition", "count")

    def __init__(self) -> None:
        self.count = 0
        self._condition = threading.Condition()

    def raised(self) -> None:
        """Wake everybody."""
        with self._condition:
            self.count += 1
            self._condition.notify_all()

    def wait(self, seen: int, limit_s: float) -> bool:
        """Wait until it was raised since `seen`; False when the time ran out."""
        deadline = monotonic() + limit_s
        with self._condition:
            while self.count == seen:
                remaining = deadline - monotonic()
                if remaining <= 0:
                    return False
                self._condition.wait(remaining)
        return True


def spawn(function: Callable[..., None], *arguments: Any, name: str) -> Worker:
    """Run in the background."""
    thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


def join(worker: Worker, limit_s: float) -> bool:
    """Wait for a worker to end; False if it did not."""
    worker.join(max(limit_s, 0))
    return not worker.is_alive()


def is_done(worker: Worker) -> bool:
    """Whether a worker has ended."""
    return not worker.is_alive()


def ready(fileno: int, *, write: bool, limit_s: float) -> bool:
    """Wait until a socket can be read (or written); False when the time ran out."""
    poll = select.poll()
    poll.register(fileno, select.POLLOUT if write else select.POLLIN)
    return bool(poll.poll(max(limit_s, 0) * 1000))


def nap(seconds: float) -> None:
    """Do nothing for a moment."""
    time.sleep(seconds)


def outside(key: Hashable, function: Callable[[], Any], limit_s: float) -> Any:
    """Call what may wait for long; calls of one key that overlap are one call.

    Raises:
        TimeoutError: it goes on, but nobody waits any more.
    """
    return beside(key, function).result(max(limit_s, 0))


def core(engine: Engine) -> Engine:
    """Return the engine that SQLAlchemy's events are registered on."""
    return engine


def settled(result: Result) -> Result:
    """Return what the call returned: it has waited by itself."""
    return result


def adapted(_dialect: Any, connection: Any) -> Any:
    """Return the connection as SQLAlchemy's dialect uses it."""
    return connection


def driver_of(connection: Any) -> Any:
    """Return psycopg's connection beneath what `adapted` returned."""
    return connection
