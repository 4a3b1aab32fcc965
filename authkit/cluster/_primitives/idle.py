"""psycopg's pool, whose idle connections are lent last in, first out.

Its own way in and out logs three times, and hands each connection out in turn: the
server's processes then take turns as well, and none of them finds its caches warm. A
point read costs the client half the CPU time when one connection is used again.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, TypeVar

from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool, ConnectionPool

ConnectionT = TypeVar("ConnectionT", bound=Connection[Any])
AsyncConnectionT = TypeVar("AsyncConnectionT", bound=AsyncConnection[Any])


class IdlePool(ConnectionPool[ConnectionT]):
    """For threads: under the lock that the rest of the pool takes."""

    def take(self) -> ConnectionT | None:
        """Lend what came back last; None where nothing lies idle. Never waits."""
        idle = self._pool
        with self._lock:
            if not idle:
                return None
            connection = idle.pop()
            if len(idle) < self._nconns_min:
                self._nconns_min = len(idle)
        connection._pool = self  # pyright: ignore[reportPrivateUsage] # as `getconn` does
        return connection

    def give(self, connection: ConnectionT) -> bool:
        """Take back a clean one; False where it is for `putconn` to say who gets it."""
        if (
            connection._created_at <= self._drained_at  # pyright: ignore[reportPrivateUsage] # as `putconn` does
            or connection._expire_at <= monotonic()  # pyright: ignore[reportPrivateUsage] # as `putconn` does
        ):
            return False
        with self._lock:
            if self._waiting or self._closed or self._pool_full_event:
                return False
            connection._pool = None  # pyright: ignore[reportPrivateUsage] # as `putconn` does
            self._pool.append(connection)
        return True


class AsyncIdlePool(AsyncConnectionPool[AsyncConnectionT]):
    """For tasks: nothing here waits, so that nothing comes between."""

    def take(self) -> AsyncConnectionT | None:
        """Lend what came back last; None where nothing lies idle."""
        idle = self._pool
        if not idle:
            return None
        connection = idle.pop()
        if len(idle) < self._nconns_min:
            self._nconns_min = len(idle)
        connection._pool = self  # pyright: ignore[reportPrivateUsage] # as `getconn` does
        return connection

    def give(self, connection: AsyncConnectionT) -> bool:
        """Take back a clean one; False where it is for `putconn` to say who gets it."""
        if (
            self._waiting
            or self._closed
            or self._pool_full_event
            or connection._created_at <= self._drained_at  # pyright: ignore[reportPrivateUsage] # as `putconn` does
            or connection._expire_at <= monotonic()  # pyright: ignore[reportPrivateUsage] # as `putconn` does
        ):
            return False
        connection._pool = None  # pyright: ignore[reportPrivateUsage] # as `putconn` does
        self._pool.append(connection)
        return True
