"""What an engine of a node has for its pool: the node's own, seen through.

SQLAlchemy keeps a record of a connection and prepares the connection when it makes the
record. Here the record stays with the connection for as long as that lives, whatever
layer uses it meanwhile, so that neither is done at each checkout. Nothing is reset on
return: the node does that for both layers, where there is something to reset.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Self

from sqlalchemy import Pool, event
from sqlalchemy.pool import (
    ConnectionPoolEntry,
    PoolProxiedConnection,
    PoolResetState,
)
from sqlalchemy.pool.base import (
    _ConnectionRecord,  # pyright: ignore[reportPrivateUsage] # what a Pool hands out
)

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._primitives.aio import adapted, driver_of, settled


class AsyncEnginePool(Pool):
    """Draws from a node's pool and gives back to it; holds no connection.

    Args:
        draw: takes a connection of the node, on which statements begin transactions.
        options: as SQLAlchemy's `Pool` has them.
    """

    def __init__(
        self, draw: Callable[[], Awaitable[AsyncNodeConnection]], **options: Any
    ) -> None:
        self._draw = draw
        super().__init__(self._connect, reset_on_return=None, **options)
        event.listen(self, "invalidate", _poison)
        event.listen(self, "soft_invalidate", _poison)
        event.listen(self, "reset", _leave)

    def status(self) -> str:
        """Say what it is; the cluster's `status` says how many are in use."""
        return type(self).__name__

    def recreate(self) -> Self:
        """Return one like it, for an engine that was disposed of."""
        return type(self)(
            self._draw, echo=self.echo, dialect=self._dialect, _dispatch=self.dispatch
        )

    def dispose(self) -> None:
        """Do nothing: the connections are the node's."""

    def _connect(self, rec: ConnectionPoolEntry) -> Any:
        drawn = rec.__dict__.pop("drawn", None) or settled(self._draw())
        return adapted(self._dialect, drawn)

    def _do_get(self) -> ConnectionPoolEntry:
        drawn = settled(self._draw())
        seat = drawn.seat
        if seat is not None and seat[0] is self:
            record = seat[1]
            record.dbapi_connection = adapted(self._dialect, drawn)
            return record
        # SQLAlchemy has it connected, by `_connect`, and prepared.
        record = _ConnectionRecord(self, connect=False)
        record.__dict__["drawn"] = drawn
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        connection = record.dbapi_connection
        if connection is None:  # detached, or invalidated and closed
            return
        # Between two uses the record does not refer to the connection: whoever drops
        # the connection drops both.
        record.dbapi_connection = None
        driver = driver_of(connection)
        driver.seat = (self, record)
        driver.begin_by_itself(begins=False)
        settled(driver.home.release(driver))

    def _invalidate(
        self,
        connection: PoolProxiedConnection,
        exception: BaseException | None = None,
        _checkin: bool = True,
    ) -> None:
        # That others are to be replaced too is for the cluster to judge.
        if _checkin and connection.is_valid:
            connection.invalidate(exception)


def _poison(dbapi_connection: Any, record: Any, exception: Any) -> None:
    """A connection that SQLAlchemy invalidated must not be reused, alive or not."""
    connection = record.driver_connection
    if isinstance(connection, AsyncNodeConnection):
        connection.poison()


def _leave(dbapi_connection: Any, record: Any, state: PoolResetState) -> None:
    """Nobody closed it, and the garbage collector, which found it, must not wait."""
    if not state.asyncio_safe:
        driver_of(dbapi_connection).left = True
