"""`async with cluster.writer() as connection:` from the route to the typed error."""

from __future__ import annotations

from types import TracebackType

import psycopg

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.dispatch import AsyncDispatch
from authkit.cluster._async.roster import AsyncRoster
from authkit.cluster.breaker import BreakerState
from authkit.cluster.classify import Intent
from authkit.cluster.consistency import Token
from authkit.cluster.events import Doubted
from authkit.cluster.faults import translate
from authkit.errors import InDoubt


class AsyncLease:
    """A connection for the length of a block; usable once.

    Entering may raise `NoPrimary`, `SplitBrain`, `NoReplica`, `Saturated` or `Closed`.
    A driver's error that leaves the block leaves it as one of authkit's, the driver's
    beneath it. A transaction that is still open at the end is committed, or rolled
    back when an error leaves the block.
    """

    __slots__ = (
        "_after",
        "_connection",
        "_dispatch",
        "_intent",
        "_max_lag_s",
        "_prefer",
        "_roster",
        "_stale_ok",
        "_timeout",
    )

    def __init__(
        self,
        dispatch: AsyncDispatch,
        roster: AsyncRoster,
        intent: Intent,
        timeout: float,
        *,
        max_lag_s: float = 0.0,
        after: Token | None = None,
        stale_ok: bool = False,
        prefer: str | None = None,
    ) -> None:
        self._dispatch = dispatch
        self._roster = roster
        self._intent = intent
        self._timeout = timeout
        self._max_lag_s = max_lag_s
        self._after = after
        self._stale_ok = stale_ok
        self._prefer = prefer
        self._connection: AsyncNodeConnection | None = None

    async def __aenter__(self) -> AsyncNodeConnection:
        """Take the connection."""
        if self._intent is Intent.WRITE:
            connection = await self._dispatch.take_writer(self._timeout)
        else:
            connection = await self._dispatch.take_reader(
                self._timeout,
                max_lag_s=self._max_lag_s,
                after=self._after,
                stale_ok=self._stale_ok,
                prefer=self._prefer,
            )
        self._connection = connection
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back; raise what the caller can act on."""
        connection = self._connection
        if connection is None:
            return
        self._connection = None
        if error is None:
            if connection.pgconn.transaction_status:  # 0: nothing is open
                try:
                    await connection.commit()
                except psycopg.Error as exc:
                    await self._fail(connection, exc)
            doubted = connection.unconfirmed
            home = connection.home
            await home.release(connection)
            if doubted:
                self._roster.publish(Doubted(node=home.name, key=None))
                raise InDoubt(
                    "the commit was cancelled before a standby confirmed it: "
                    f"it stands on {home.name} and may be lost by a failover"
                )
            if home.breaker.state is not BreakerState.CLOSED:
                home.succeeded()
            return
        if isinstance(error, psycopg.Error):
            await self._fail(connection, error)
        await connection.home.release(connection)

    async def _fail(
        self, connection: AsyncNodeConnection, error: psycopg.Error
    ) -> None:
        home = connection.home
        fault = self._roster.blame(connection, error)
        await home.release(connection)
        translated = translate(error, fault, node=home.name)
        if isinstance(translated, InDoubt):
            self._roster.publish(Doubted(node=home.name, key=None))
        raise translated from error
