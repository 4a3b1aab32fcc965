"""`async with cluster.writer() as connection:` from the route to the typed error."""

from __future__ import annotations

from types import TracebackType

import psycopg
from psycopg.pq import TransactionStatus

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.dispatch import AsyncDispatch
from authkit.cluster._async.roster import AsyncRoster
from authkit.cluster.classify import Intent
from authkit.cluster.consistency import Token
from authkit.cluster.events import Doubted
from authkit.cluster.faults import translate
from authkit.errors import DatabaseError, InDoubt


class AsyncLease:
    """A connection for the length of a block; usable once.

    Entering may raise `NoPrimary`, `SplitBrain`, `NoReplica`, `Saturated` or `Closed`.
    A driver's error that leaves the block leaves it as one of authkit's, the driver's
    beneath it. A transaction that is still open at the end is committed, or rolled
    back when an error leaves the block; one of a writer that had failed by then is a
    `DatabaseError`.
    """

    __slots__ = (
        "_after",
        "_connection",
        "_dispatch",
        "_intent",
        "_max_lag_s",
        "_prefer",
        "_primary",
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
        # Whether it is for the primary, whatever is known of the replicas.
        self._primary = intent is Intent.WRITE or (max_lag_s <= 0 and after is None)

    async def __aenter__(self) -> AsyncNodeConnection:
        """Take the connection."""
        connection = None
        if self._primary:
            connection = self._dispatch.at_once(self._intent)
        if connection is not None:
            pass
        elif self._intent is Intent.WRITE:
            connection = await self._dispatch.take_writer(self._timeout)
        else:
            connection = await self._dispatch.take_reader(
                self._timeout,
                max_lag_s=self._max_lag_s,
                after=self._after,
                stale_ok=self._stale_ok,
                prefer=self._prefer,
            )
        connection.leased = True
        self._connection = connection
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back; raise what the caller can act on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await end(self._roster, connection, error)


async def end(
    roster: AsyncRoster, connection: AsyncNodeConnection, error: BaseException | None
) -> None:
    """Give a connection back; raise what the caller can act on.

    Args:
        roster: told of what failed.
        connection: what is open on it is committed, or rolled back.
        error: what ended the work on it; nothing is raised for one that is not the
            driver's.
    """
    if error is None:
        status = connection.pgconn.transaction_status
        if status == TransactionStatus.INERROR and connection.intent is Intent.WRITE:
            # The server would answer COMMIT with a rollback, and no error.
            await connection.home.release(connection)
            raise DatabaseError("the transaction had failed and was rolled back")
        # 0: nothing is open
        if status and not connection.finished:
            try:
                await connection.commit()
            except psycopg.Error as exc:
                await _fail(roster, connection, exc)
            except BaseException:  # whoever committed was ended meanwhile
                await connection.home.release(connection)
                raise
        doubted = connection.unconfirmed
        home = connection.home
        await home.release(connection)
        if doubted:
            roster.publish(Doubted(node=home.name, key=None))
            raise InDoubt(
                "the commit was cancelled before a standby confirmed it: "
                f"it stands on {home.name} and may be lost by a failover"
            )
        return
    if isinstance(error, psycopg.Error):
        await _fail(roster, connection, error)
    await connection.home.release(connection)


async def _fail(
    roster: AsyncRoster, connection: AsyncNodeConnection, error: psycopg.Error
) -> None:
    home = connection.home
    fault = roster.blame(connection, error)
    await home.release(connection)
    translated = translate(error, fault, node=home.name)
    if isinstance(translated, InDoubt):
        roster.publish(Doubted(node=home.name, key=None))
    raise translated from error
