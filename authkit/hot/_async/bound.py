"""What runs an operation inside somebody's transaction, whose fate it shares."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TypeVar

import psycopg

from authkit.cluster import AsyncNodeConnection, Role, Token
from authkit.cluster.faults import translate
from authkit.errors import AuthkitError, NoReplica
from authkit.hot.operation import AnyOperation, Operation
from authkit.hot.written import Params, Step, Written

from . import statement

Row = TypeVar("Row")


class AsyncBound:
    """Runs on one connection, inside whatever transaction is open on it."""

    def __init__(self, connection: AsyncNodeConnection) -> None:
        self._connection = connection

    async def fetch_one(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> Row | None:
        """Return the row, or None where there is none.

        Raises:
            NoReplica: the transaction's node, a replica, does not keep the bound.
            AuthkitError: what the server's error means for the open transaction.
        """
        try:
            await self._keep(max_lag, after)
            return await statement.fetch_one(self._connection, operation, params)
        except psycopg.Error as exc:
            raise self._translated(exc) from exc

    async def fetch_all(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Row]:
        """Return every row.

        Raises:
            NoReplica: the transaction's node, a replica, does not keep the bound.
            AuthkitError: what the server's error means for the open transaction.
        """
        try:
            await self._keep(max_lag, after)
            return await statement.fetch_all(self._connection, operation, params)
        except psycopg.Error as exc:
            raise self._translated(exc) from exc

    async def execute(self, operation: AnyOperation, params: Params) -> int:
        """Return how many rows it touched."""
        try:
            return await statement.execute(
                self._connection, operation.within or operation, params
            )
        except psycopg.Error as exc:
            raise self._translated(exc) from exc

    async def write(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        behind: Step | None = None,
        token: bool = False,
    ) -> Written[Row]:
        """Run a write, with a statement before it if given; the token is None.

        The commit of the transaction, which is its owner's, gives the token.

        Raises:
            AuthkitError: what the server's error means for the open transaction.
        """
        del token
        connection = self._connection
        operation = operation.within or operation
        try:
            if behind is None:
                rows = await statement.fetch_all(connection, operation, params)
            else:
                rows = await statement.behind(connection, behind, operation, params)
        except psycopg.Error as exc:
            raise self._translated(exc) from exc
        return Written(rows, None)

    async def _keep(self, max_lag: timedelta | None, after: Token | None) -> None:
        """A transaction never changes node: its own must be fresh enough, as it is."""
        view = self._connection.node
        if max_lag is not None and view.role is not Role.PRIMARY:
            oldest = monotonic() - max_lag.total_seconds()
            # A connection that is younger than that may be another server's by now.
            place = Token(view.timeline, view.lsn)
            if view.fresh_at < oldest or not await self._connection.holds(place):
                raise NoReplica(f"{view.name}, of this transaction, lags by too much")
        if after is not None and not await self._connection.holds(after):
            raise NoReplica(f"{view.name}, of this transaction, lacks that commit")

    def _translated(self, error: psycopg.Error) -> AuthkitError:
        connection = self._connection
        return translate(error, connection.blame(error), node=connection.node.name)
