"""psycopg's pool, whose idle connections are lent last in, first out.

Its own way in and out logs three times, and hands each connection out in turn: the
server's processes then take turns as well, and none of them finds its caches warm. A
point read costs the client half the CPU time when one connection is used again.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from psycopg_pool import AsyncConnectionPool, ConnectionPool

if TYPE_CHECKING:
    from authkit.cluster._async.connection import AsyncNodeConnection
    from authkit.cluster._sync.connection import NodeConnection


class IdlePool(ConnectionPool["NodeConnection"]):
    """For threads: under the lock that the rest of the pool takes."""

    def take(self, since: float = -inf) -> NodeConnection | None:
        """Lend what came back last, without waiting; None where nothing lies idle.

        Args:
            since: and came back later than this, on the monotonic clock.
        """
        idle = self._pool
        with self._lock:
            if not idle or idle[-1].idle_since < since:
                return None
            connection = idle.pop()
            if len(idle) < self._nconns_min:
                self._nconns_min = len(idle)
        connection._pool = self  # pyright: ignore[reportPrivateUsage] # as `getconn` does
        return connection

    def give(self, connection: NodeConnection) -> bool:
        """Take back a clean one; False where it is for `putconn` to say who gets it."""
        connection.idle_since = now = monotonic()
        if (
            connection._created_at <= self._drained_at  # pyright: ignore[reportPrivateUsage] # as `putconn` does
            or connection._expire_at <= now  # pyright: ignore[reportPrivateUsage] # as `putconn` does
        ):
            return False
        with self._lock:
            if self._waiting or self._closed or self._pool_full_event:
                return False
            connection._pool = None  # pyright: ignore[reportPrivateUsage] # as `putconn` does
            self._pool.append(connection)
        return True


class AsyncIdlePool(AsyncConnectionPool["AsyncNodeConnection"]):
    """For tasks: nothing here waits, so that nothing comes between."""

    def take(self, since: float = -inf) -> AsyncNodeConnection | None:
        """Lend what came back last; None where nothing lies idle.

        Args:
            since: and came back later than this, on the monotonic clock.
        """
        idle = self._pool
        if not idle or idle[-1].idle_since < since:
            return None
        connection = idle.pop()
        if len(idle) < self._nconns_min:
            self._nconns_min = len(idle)
        connection._pool = self  # pyright: ignore[reportPrivateUsage] # as `getconn` does
        return connection

    def give(self, connection: AsyncNodeConnection) -> bool:
        """Take back a clean one; False where it is for `putconn` to say who gets it."""
        connection.idle_since = now = monotonic()
        if (
            self._waiting
            or self._closed
            or self._pool_full_event
            or connection._created_at <= self._drained_at  # pyright: ignore[reportPrivateUsage] # as `putconn` does
            or connection._expire_at <= now  # pyright: ignore[reportPrivateUsage] # as `putconn` does
        ):
            return False
        connection._pool = None  # pyright: ignore[reportPrivateUsage] # as `putconn` does
        self._pool.append(connection)
        return True
