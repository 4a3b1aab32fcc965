"""psycopg's pool, with one thing more: it can be abandoned at once.

`close` wakes those who wait for a connection only when its workers have ended, and a
worker that is connecting to a frozen server ends after two seconds.
"""

from __future__ import annotations

from psycopg_pool import PoolClosed

from authkit.cluster._primitives.idle import AsyncIdlePool


class AsyncNodePool(AsyncIdlePool):
    """The pool of one node, for as long as the node is usable."""

    async def abandon(self) -> None:
        """Tell everybody who waits that there will be no connection; then `close`."""
        async with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for client in waiting:
            await client.fail(PoolClosed(f"the pool {self.name!r} was abandoned"))
