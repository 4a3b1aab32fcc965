"""The pool manager's face: connections, transactions, engines."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TypeVar

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.lease import AsyncLease, end
from authkit.cluster._async.life import AsyncLife
from authkit.cluster._async.transactions import Work
from authkit.cluster._primitives.aio import Connection, Engine
from authkit.cluster.attempt import Isolation, Wanted
from authkit.cluster.cadence import Seconds, seconds
from authkit.cluster.classify import Intent
from authkit.cluster.consistency import Token
from authkit.cluster.keys import Resolution, check_key
from authkit.cluster.routing import DEFAULT_MAX_LAG_S

ResultT = TypeVar("ResultT")


class AsyncCluster(AsyncLife):
    """Connections to whichever node may serve: writes to the primary, reads nearby.

    Nothing happens before `open`. The URLs of the settings are candidates; which of
    them is the primary is discovered, and discovered again.

    Args:
        settings: the URLs, the pools' sizes and the times.
        zones: the zone of a node by its name (`host:port`), for `prefer`.
        cadence: how often and how patiently nodes are asked.
        password: asked for each new connection, with who connects where; may wait,
            and be called from any thread. The settings' command, unless given.
    """

    def writer(self, timeout: Seconds | None = None) -> AsyncLease:
        """Return a block on a connection to the primary, in autocommit.

        Args:
            timeout: how long to wait for a primary and a free connection.
        """
        return AsyncLease(
            self._dispatch, self._roster, Intent.WRITE, self._patience(timeout)
        )

    def reader(
        self,
        max_lag: Seconds | None = None,
        after: Token | None = None,
        *,
        stale_ok: bool = False,
        prefer: str | None = None,
        timeout: Seconds | None = None,
    ) -> AsyncLease:
        """Return a block on a connection to a replica, or else to the primary.

        Args:
            max_lag: the most that its data may lag behind; 10 s unless said. The bound
                holds the age of the last probe, half a second at most: a tighter one
                is served by the primary most of the time. Zero asks for the primary.
            after: a commit that must be visible.
            stale_ok: whether a replica of unknown lag may serve while there is no
                primary.
            prefer: the zone or the node to take where there is a choice.
            timeout: how long to wait for a node and a free connection.
        """
        return AsyncLease(
            self._dispatch,
            self._roster,
            Intent.READ,
            self._patience(timeout),
            max_lag_s=DEFAULT_MAX_LAG_S if max_lag is None else seconds(max_lag),
            after=after,
            stale_ok=stale_ok,
            prefer=prefer,
        )

    def at_once(self, intent: Intent) -> AsyncNodeConnection | None:
        """Take a connection to the primary that was in use a moment ago, if any was.

        For whoever runs one statement after the other and counts microseconds: no
        waiting, no block. Whoever takes it must `end` it; who gets None takes a block.
        """
        return self._dispatch.at_once(intent)

    async def end(
        self, connection: AsyncNodeConnection, error: BaseException | None = None
    ) -> None:
        """Give back what `at_once` gave; as the end of a block, it may raise.

        Args:
            connection: as it was given.
            error: what ended the work on it, if anything did.
        """
        if error is not None or not connection.home.reclaim(connection):
            await end(self._roster, connection, error)

    async def run(
        self,
        work: Work[ResultT],
        *,
        intent: Intent = Intent.WRITE,
        deadline: Seconds | None = None,
        key: str | None = None,
        isolation: Isolation | None = None,
        max_lag: Seconds | None = None,
        after: Token | None = None,
        stale_ok: bool = False,
        prefer: str | None = None,
    ) -> ResultT:
        """Run a function as one transaction, again where that is safe.

        It gets a connection inside BEGIN and returns what `run` returns; it must
        neither commit nor roll back, and may be called several times. A serialization
        failure, a deadlock, a lost connection before COMMIT, a node that is no primary
        any more: the whole of it runs again, with full jitter between.

        Args:
            work: the function.
            intent: where it runs; `READ` makes it a read-only transaction.
            deadline: for everything: waiting, running, repeating.
            key: makes the write resolvable, and safe to repeat even when its COMMIT
                was lost: it is written beside the work, in the same transaction, and
                is unique. At most one transaction of a key is ever applied on the
                surviving timeline. With synchronous replication what was reported as
                applied stays applied through a failover; with asynchronous
                replication a failover may lose it, with its key.
            isolation: the level, if not the server's default.
            max_lag: for a read, as in `reader`.
            after: for a read, as in `reader`.
            stale_ok: for a read, as in `reader`.
            prefer: for a read, as in `reader`.

        Raises:
            InDoubt: COMMIT was sent and lost, and no key was given, or time ran out.
            RetryLater: the repetitions were used up; nothing was applied.
            DeadlineExceeded: the deadline passed; nothing was applied.
            AlreadyExists: the write of this key was applied before.
            AuthkitError: whatever else the server refused.
        """
        wanted = Wanted(
            intent,
            self._deadline(deadline),
            self._limits.acquire_s,
            key=key,
            isolation=isolation,
            max_lag_s=DEFAULT_MAX_LAG_S if max_lag is None else seconds(max_lag),
            after=after,
            stale_ok=stale_ok,
            prefer=prefer,
        )
        result, _ = await self._transactions.run(work, wanted)
        return result

    async def run_with_token(
        self,
        work: Work[ResultT],
        *,
        deadline: Seconds | None = None,
        key: str | None = None,
        isolation: Isolation | None = None,
    ) -> tuple[ResultT, Token | None]:
        """Run a write as `run` does; return a token for its commit as well.

        The token travels in COMMIT's round trip. It is None only where an attempt in
        doubt turned out to have been applied, or where the server was stopped between
        COMMIT and its answer to that: ask for one with `token` then.
        """
        wanted = Wanted(
            Intent.WRITE,
            self._deadline(deadline),
            self._limits.acquire_s,
            key=key,
            isolation=isolation,
            token=True,
        )
        return await self._transactions.run(work, wanted)

    async def resolve(
        self,
        key: str,
        timeout: Seconds | None = None,  # noqa: ASYNC109 # the house's word for a bounded wait
    ) -> Resolution:
        """Find out whether a write in doubt was applied, and settle it for good.

        The key is claimed on the current primary: a commit in flight is waited for, a
        write that comes late with this key is barred. `APPLIED` and `VOID` hold on the
        surviving timeline. With synchronous replication `APPLIED` survives a failover;
        with asynchronous replication a failover after the answer may lose both.

        Raises:
            InDoubt: it could not be settled in time; ask again.
            Closed: the cluster is closed.
        """
        return await self._transactions.resolve(check_key(key), self._patience(timeout))

    def engine(self, node: str) -> Engine:
        """Return the SQLAlchemy engine that draws from this node's pool.

        Raises:
            NotFound: no node has this name.
        """
        return self._engines.of(node)

    async def writer_engine(
        self,
        timeout: Seconds | None = None,  # noqa: ASYNC109 # the house's word for a bounded wait
    ) -> Engine:
        """Return the engine of the primary, for a unit of work that begins now.

        A transaction never changes node: pick one, then begin.

        Raises:
            NoPrimary: there is none, and none came in time.
            SplitBrain: two nodes claim to be it.
        """
        node = await self._dispatch.pick_writer(self._patience(timeout))
        return self._engines.of(node.name)

    async def reader_engine(
        self,
        max_lag: Seconds | None = None,
        after: Token | None = None,
        *,
        stale_ok: bool = False,
        prefer: str | None = None,
        timeout: Seconds | None = None,  # noqa: ASYNC109 # the house's word for a bounded wait
    ) -> Engine:
        """Return the engine of a node that may serve this read; see `reader`.

        Raises:
            NoReplica: nothing fresh enough, and no primary, came in time.
        """
        taken = await self._dispatch.take_reader(
            self._patience(timeout),
            max_lag_s=DEFAULT_MAX_LAG_S if max_lag is None else seconds(max_lag),
            after=after,
            stale_ok=stale_ok,
            prefer=prefer,
        )
        await taken.home.release(taken)
        return self._engines.of(taken.home.name)

    async def connect(
        self,
        intent: Intent = Intent.WRITE,
        *,
        max_lag: Seconds | None = None,
        after: Token | None = None,
        timeout: Seconds | None = None,  # noqa: ASYNC109 # the house's word for a bounded wait
    ) -> Connection:
        """Return SQLAlchemy's connection to a node that may serve, not yet begun.

        The very connection that was chosen as `writer` and `reader` choose one; it goes
        back to its node when it is closed.

        Args:
            intent: `READ` for a node that may serve reads: a replica, or the primary.
            max_lag: for a read, as in `reader`.
            after: for a read, as in `reader`.
            timeout: how long to wait for a node and a free connection.

        Raises:
            NoPrimary: there is none, and none came in time.
            SplitBrain: two nodes claim to be it.
            NoReplica: nothing fresh enough, and no primary, came in time.
            Saturated: no connection became free in time.
        """
        patience = self._patience(timeout)
        if intent is Intent.WRITE:
            taken = await self._dispatch.take_writer(patience)
        else:
            taken = await self._dispatch.take_reader(
                patience,
                max_lag_s=DEFAULT_MAX_LAG_S if max_lag is None else seconds(max_lag),
                after=after,
                stale_ok=False,
                prefer=None,
            )
        return await self._engines.connect(taken)

    async def token(self, connection: AsyncNodeConnection) -> Token:
        """Return a token for everything committed so far; costs a round trip.

        Raises:
            NotPermitted: the connection is not a primary's.
        """
        return await connection.token()

    def _patience(self, timeout: Seconds | None) -> float:
        return self._limits.acquire_s if timeout is None else seconds(timeout)

    def _deadline(self, deadline: Seconds | None) -> float:
        return inf if deadline is None else monotonic() + seconds(deadline)
