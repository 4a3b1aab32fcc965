"""What runs an operation inside somebody's transaction, whose fate it shares."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

import psycopg

from authkit.cluster import AsyncNodeConnection, Token
from authkit.cluster.faults import translate
from authkit.errors import AuthkitError
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
        """Return the row, or None where there is none; the node is given already."""
        del max_lag, after
        try:
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
        """Return every row; the node is given already."""
        del max_lag, after
        try:
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
        """Run a write, with a statement before it if given; the token is None."""
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

    def _translated(self, error: psycopg.Error) -> AuthkitError:
        connection = self._connection
        return translate(error, connection.blame(error), node=connection.node.name)
