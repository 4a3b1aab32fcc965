"""SQLAlchemy over a node's pool: one engine per node, no pool of its own.

An engine's pool asks the node's psycopg pool at each checkout and gives back to it at
the end (see `engine_pool`). So both layers spend one budget of connections and see one
topology and one breaker.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import psycopg
from sqlalchemy import ExceptionContext, event
from sqlalchemy.ext.asyncio import create_async_engine

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.engine_pool import AsyncEnginePool
from authkit.cluster._async.node import AsyncNode
from authkit.cluster._async.roster import AsyncRoster
from authkit.cluster._primitives.aio import Connection, Engine, core
from authkit.cluster._primitives.alchemy import driver_connection
from authkit.cluster.classify import Intent
from authkit.cluster.views import Role
from authkit.errors import NotFound

# What the next checkout of an engine is to be, in this context: chosen beforehand.
_chosen: ContextVar[AsyncNodeConnection | None] = ContextVar("chosen", default=None)


class AsyncEngines:
    """The engines of a cluster, made when first asked for."""

    def __init__(
        self, roster: AsyncRoster, check: Callable[[], None], timeout: float
    ) -> None:
        self._roster = roster
        self._check = check
        self._timeout = timeout
        self._engines: dict[str, Engine] = {}

    def of(self, name: str) -> Engine:
        """Return the node's engine.

        Raises:
            NotFound: no node has this name.
        """
        engine = self._engines.get(name)
        if engine is None:
            node = self._roster.nodes.get(name)
            if node is None:
                raise NotFound(f"no node is named {name}")
            engine = self._engines.setdefault(name, self._make(node))
        return engine

    async def connect(self, chosen: AsyncNodeConnection) -> Connection:
        """Return SQLAlchemy's connection over one that was taken; it gives it back."""
        before = _chosen.set(chosen)
        try:
            return await self.of(chosen.home.name).connect()
        finally:
            left = _chosen.get()
            _chosen.reset(before)
            if left is not None:  # it failed before the checkout
                await left.home.release(left)

    async def dispose(self) -> None:
        """Forget the engines; they hold no connection."""
        for engine in self._engines.values():
            await engine.dispose()

    def _make(self, node: AsyncNode) -> Engine:
        engine = create_async_engine(
            "postgresql+psycopg://", pool=AsyncEnginePool(self._drawer(node))
        )
        event.listen(core(engine), "handle_error", self._judge)
        return engine

    def _drawer(self, node: AsyncNode) -> Callable[[], Awaitable[AsyncNodeConnection]]:
        async def draw() -> AsyncNodeConnection:
            connection = _chosen.get()
            if connection is None:
                # An engine may be kept for long: until after a fork, or the close.
                self._check()
                writes = node.view.role is Role.PRIMARY
                intent = Intent.WRITE if writes else Intent.READ
                connection = await node.acquire(intent, self._timeout)
            else:
                _chosen.set(None)
            connection.begin_by_itself(begins=True)
            return connection

        return draw

    def _judge(self, context: ExceptionContext) -> None:
        """Tell SQLAlchemy of a disconnect it does not see, and the cluster of a fault.

        A node that was demoted answers 25006, an `InternalError` on a connection that
        lives: to SQLAlchemy that is no disconnect.
        """
        connection = driver_connection(context)
        error = context.original_exception
        if not isinstance(connection, AsyncNodeConnection) or not isinstance(
            error, psycopg.Error
        ):
            return
        if self._roster.blame(connection, error).discard:
            context.is_disconnect = True
