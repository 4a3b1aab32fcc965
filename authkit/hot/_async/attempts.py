"""Attempts to authenticate: reserve, record, settle, look back, lock.

Names are keyed hashes (`KeyedHash.subject`), never e-mail addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from authkit.cluster import Token
from authkit.hot import attempts, inputs, relaxed
from authkit.hot.attempt_values import AttemptRecord
from authkit.hot.attempts import Attempt, AttemptKey, Failures, UserLock
from authkit.hot.folding import FOLDS
from authkit.hot.operation import Operation

from .attempt_queue import AsyncAttemptQueue
from .reservations import AsyncReservations

MAX_PAGE = 1000
MAX_MANY = 10_000
# How far back a question goes that does not say: it reads a month of daily partitions.
LOOK_BACK = timedelta(days=30)


class AsyncAttempts(AsyncReservations):
    """Attempts, run by a runner: on the cluster, or in a transaction."""

    async def record(
        self, attempt: AttemptRecord, *, durable: bool = True
    ) -> AttemptKey:
        """Write an attempt, settled or pending; returns where it stands.

        Args:
            attempt: what happened.
            durable: False: return before it is on disk, or on a synchronous replica;
                a crash or a failover may then lose the last moments of attempts.

        Raises:
            InvalidInput: a part of it is not acceptable.
        """
        operation = attempts.RECORD if durable else relaxed.RECORD_RELAXED
        written = await self._runner.write(operation, attempt.params())
        return written.rows[0]

    async def record_many(self, happened: Iterable[AttemptRecord]) -> list[AttemptKey]:
        """Write up to 10,000 attempts in one statement: all of them, or none.

        Raises:
            InvalidInput: a part of one is not acceptable, or there are too many.
        """
        calls = [attempt.params() for attempt in happened]
        inputs.count(len(calls), "number of attempts", low=0, high=MAX_MANY)
        if not calls:
            return []
        fold = FOLDS[attempts.RECORD.name]
        written = await self._runner.write(fold.many, fold.pack(calls))
        return [answer.rows[0] for answer in fold.answers(calls, written.rows)]

    def queue(
        self, *, most: int = 10_000, patience: timedelta = timedelta(seconds=30)
    ) -> AsyncAttemptQueue:
        """Return a queue that acknowledges attempts before they are written.

        For an application that would rather lose some than wait for any: those that
        still wait are lost when the process dies. `durable=False` of `record` waits
        for the server, and loses less.

        Args:
            most: how many may wait.
            patience: how long its end may wait for a database that is away, or that
                takes nothing.

        Raises:
            InvalidInput: `most` is not 1 to 1,000,000, or the patience not positive.
        """
        return AsyncAttemptQueue(
            self._runner,
            most=inputs.count(most, "number of attempts", low=1, high=1_000_000),
            patience=inputs.span(patience, "patience"),
        )

    async def recent_by_subject(
        self,
        subject: bytes,
        *,
        since: datetime | None = None,
        before: Attempt | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Attempt]:
        """Return attempts in a name, the newest first; the last month unless said.

        Args:
            subject: the name that was tried, hashed: 32 bytes (`KeyedHash.subject`).
            since: from when on; None: the last 30 days.
            before: the last attempt of the page before, whose next page this is.
            limit: how many at most: 1 to 1,000.
            max_lag: how stale the answer may be; None asks the primary.
            after: the answer must contain the write of this token.

        Raises:
            InvalidInput: the subject is no keyed hash, or the limit not 1 to 1,000.
            Unavailable: no node may serve it now.
        """
        key = inputs.keyed_hash(subject, "subject")
        return await self._recent(
            attempts.RECENT_BY_SUBJECT, key, since, before, limit, max_lag, after
        )

    async def recent_by_user(
        self,
        user_id: UUID,
        *,
        since: datetime | None = None,
        before: Attempt | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Attempt]:
        """Return a user's attempts, the newest first; the last month unless said.

        Args:
            user_id: whose; attempts in a name that nobody has are of no user.
            since: from when on; None: the last 30 days.
            before: the last attempt of the page before, whose next page this is.
            limit: how many at most: 1 to 1,000.
            max_lag: how stale the answer may be; None asks the primary.
            after: the answer must contain the write of this token.

        Raises:
            InvalidInput: the limit is not between 1 and 1,000.
            Unavailable: no node may serve it now.
        """
        key = inputs.identifier(user_id, "user id")
        return await self._recent(
            attempts.RECENT_BY_USER, key, since, before, limit, max_lag, after
        )

    async def recent_by_ip(
        self,
        ip: inputs.Address,
        *,
        since: datetime | None = None,
        before: Attempt | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Attempt]:
        """Return attempts from an address, the newest first; a month unless said.

        Args:
            ip: the address, as text or of `ipaddress`; no network.
            since: from when on; None: the last 30 days.
            before: the last attempt of the page before, whose next page this is.
            limit: how many at most: 1 to 1,000.
            max_lag: how stale the answer may be; None asks the primary.
            after: the answer must contain the write of this token.

        Raises:
            InvalidInput: it is no address, or the limit is not between 1 and 1,000.
            Unavailable: no node may serve it now.
        """
        key = inputs.address(ip)
        return await self._recent(
            attempts.RECENT_BY_IP, key, since, before, limit, max_lag, after
        )

    async def recent_by_device(
        self,
        device: bytes,
        *,
        since: datetime | None = None,
        before: Attempt | None = None,
        limit: int = 100,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Attempt]:
        """Return attempts of a device, the newest first; the last month unless said.

        Args:
            device: its fingerprint, hashed: 32 bytes (`KeyedHash.device`).
            since: from when on; None: the last 30 days.
            before: the last attempt of the page before, whose next page this is.
            limit: how many at most: 1 to 1,000.
            max_lag: how stale the answer may be; None asks the primary.
            after: the answer must contain the write of this token.

        Raises:
            InvalidInput: the device is no keyed hash, or the limit not 1 to 1,000.
            Unavailable: no node may serve it now.
        """
        key = inputs.keyed_hash(device, "device fingerprint")
        return await self._recent(
            attempts.RECENT_BY_DEVICE, key, since, before, limit, max_lag, after
        )

    async def _recent(
        self,
        operation: Operation[Attempt],
        key: object,
        since: datetime | None,
        before: Attempt | None,
        limit: int,
        max_lag: timedelta | None,
        after: Token | None,
    ) -> list[Attempt]:
        start = since or datetime.now(UTC) - LOOK_BACK
        params = (
            key,
            inputs.moment(start, "start"),
            None if before is None else before.occurred_at,
            None if before is None else before.id,
            inputs.count(limit, "limit", low=1, high=MAX_PAGE),
        )
        return await self._runner.fetch_all(
            operation, params, max_lag=max_lag, after=after
        )

    async def failures(
        self,
        *,
        window: timedelta,
        subject: bytes | None = None,
        user_id: UUID | None = None,
        ip: inputs.Address | None = None,
        device: bytes | None = None,
        max_lag: timedelta | None = None,
    ) -> Failures:
        """Count failed attempts within a window, each key for itself; None counts 0.

        Pending ones count: whatever is not settled has failed. For people and reports;
        no decision to let an attempt through may rest on it.

        Raises:
            InvalidInput: the window is not positive, or a key not acceptable.
        """
        since = datetime.now(UTC) - inputs.span(window, "window")
        params = (
            inputs.fingerprint(subject, "subject"),
            inputs.optional_identifier(user_id, "user id"),
            inputs.optional_address(ip),
            inputs.fingerprint(device),
            since,
        )
        rows = await self._runner.fetch_all(attempts.FAILURES, params, max_lag=max_lag)
        return rows[0]

    async def lock(self, user_id: UUID, duration: timedelta) -> UserLock | None:
        """Lock a user from now on for a while; None where there is no such user.

        Raises:
            InvalidInput: the duration is not positive.
        """
        params = (
            inputs.identifier(user_id, "user id"),
            inputs.span(duration, "duration"),
        )
        written = await self._runner.write(attempts.LOCK, params)
        return written.rows[0] if written.rows else None

    async def unlock(self, user_id: UUID) -> bool:
        """Unlock a user and forget the failures; False where there is no such user."""
        params = (inputs.identifier(user_id, "user id"),)
        written = await self._runner.write(attempts.UNLOCK, params)
        return bool(written.rows)
