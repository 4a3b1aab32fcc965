"""Whole transactions: run, repeated where that is safe, resolved where it is not known.

A function is run between BEGIN and COMMIT on one connection. It may run several times:
what it does outside the database must bear that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from authkit.cluster._async.connection import AsyncNodeConnection
from authkit.cluster._async.dispatch import AsyncDispatch
from authkit.cluster._async.lease import AsyncLease
from authkit.cluster._async.roster import AsyncRoster
from authkit.cluster.attempt import Again, Wanted, driver_error, next_delay
from authkit.cluster.chance import fraction
from authkit.cluster.classify import Action, Fault, Intent
from authkit.cluster.consistency import Token
from authkit.cluster.events import BudgetSpent, Doubted, Retried
from authkit.cluster.faults import translate
from authkit.cluster.keys import CLAIM, CONSTRAINT, INSERT, Resolution
from authkit.cluster.retry import RetryBudget, RetryPolicy
from authkit.errors import (
    AlreadyExists,
    AuthkitError,
    Conflict,
    DatabaseError,
    DeadlineExceeded,
    InDoubt,
    InvalidInput,
    RetryLater,
    Unavailable,
)

if TYPE_CHECKING:
    from tenacity import RetryCallState

ResultT = TypeVar("ResultT")
Work = Callable[[AsyncNodeConnection], Awaitable[ResultT]]
# Between two claims of a key whose writer is not to be had.
CLAIM_AGAIN_S = 0.05


@dataclass(slots=True)
class _Run(Generic[ResultT]):
    """One call of `run` across its attempts."""

    work: Work[ResultT]
    wanted: Wanted
    # What the function returned in an attempt whose commit is in doubt.
    doubted: list[ResultT]


class AsyncTransactions:
    """Runs functions as transactions."""

    def __init__(
        self, roster: AsyncRoster, dispatch: AsyncDispatch, policy: RetryPolicy
    ) -> None:
        self._roster = roster
        self._dispatch = dispatch
        self._policy = policy
        self.budget = RetryBudget()

    async def run(
        self, work: Work[ResultT], wanted: Wanted
    ) -> tuple[ResultT, Token | None]:
        """Run it, again where that is safe; return its result and a token if wanted."""
        run = _Run(work, wanted, [])
        try:
            return await self._attempt(run)
        except Again as first:
            return await self._repeat(run, first)

    async def _repeat(
        self, run: _Run[ResultT], first: Again
    ) -> tuple[ResultT, Token | None]:
        """Go on after a first failure; what never fails never loads tenacity."""
        from tenacity import AsyncRetrying, retry_if_exception_type

        def pause(state: RetryCallState) -> float:
            again = _failure(state)
            again.delay_s = self._decide(again, state.attempt_number, run.wanted)
            return again.delay_s or 0.0

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Again),
            wait=pause,
            stop=lambda state: _failure(state).delay_s is None,
            reraise=True,
        )
        failed = [first]
        try:
            async for attempt in retrying:
                with attempt:
                    if failed:
                        raise failed.pop()
                    return await self._attempt(run)
        except Again as last:
            _doubt(run, last.error)
            raise last.error from last.error.__cause__
        except AuthkitError as exc:
            _doubt(run, exc)
            raise
        raise AssertionError("tenacity ended without an outcome")

    def _decide(self, again: Again, repetition: int, wanted: Wanted) -> float | None:
        action = again.fault.action
        delay = next_delay(
            self._policy,
            Action.RECONNECT if action is Action.DOUBT else action,
            repetition,
            left_s=wanted.deadline - monotonic(),
            chance=fraction,
        )
        if delay is None:
            return None
        if not self.budget.spend(action):
            self._roster.publish(BudgetSpent(sqlstate=again.fault.sqlstate))
            return None
        self._roster.publish(
            Retried(attempt=repetition, sqlstate=again.fault.sqlstate, delay_s=delay)
        )
        return delay

    async def _attempt(self, run: _Run[ResultT]) -> tuple[ResultT, Token | None]:
        connection = await self._take(run.wanted)
        home = connection.home
        connection.managed = connection.leased = True
        connection.deadline = run.wanted.deadline
        returned: list[ResultT] = []
        try:
            outcome = await self._transact(connection, run, returned)
        except BaseException as exc:
            error = driver_error(exc, connection.blamed)
            if error is None:
                await home.release(connection)
                raise
            key_taken = _key_taken(error, run.wanted)
            overdue = connection.overdue
            fault = self._roster.blame(connection, error)
            await home.release(connection)
            if key_taken:
                return await self._already(run), None
            raise self._judge(
                run, error, fault, returned, node=home.name, overdue=overdue
            ) from error
        unconfirmed = connection.unconfirmed
        await home.release(connection)
        if unconfirmed:
            self._roster.publish(Doubted(node=home.name, key=run.wanted.key))
            raise InDoubt(
                "the commit was cancelled before a standby confirmed it: "
                f"it stands on {home.name} and may be lost by a failover",
                key=run.wanted.key,
            )
        self.budget.succeeded()
        return outcome

    async def _take(self, wanted: Wanted) -> AsyncNodeConnection:
        patience = wanted.patience(monotonic())
        if wanted.intent is Intent.WRITE:
            return await self._dispatch.take_writer(patience)
        return await self._dispatch.take_reader(
            patience,
            max_lag_s=wanted.max_lag_s,
            after=wanted.after,
            stale_ok=wanted.stale_ok,
            prefer=wanted.prefer,
        )

    async def _transact(
        self,
        connection: AsyncNodeConnection,
        run: _Run[ResultT],
        returned: list[ResultT],
    ) -> tuple[ResultT, Token | None]:
        wanted = run.wanted
        await connection.execute(wanted.begin(monotonic()).encode())
        if wanted.key is not None:
            await connection.execute(INSERT, (wanted.key, connection.node.timeline))
            # It waited for an earlier attempt's end, and found that it left no key.
            run.doubted.clear()
        result = await run.work(connection)
        returned.append(result)
        status = connection.pgconn.transaction_status
        if status == TransactionStatus.IDLE:
            raise InvalidInput("the function ended the transaction, which is not its")
        if status == TransactionStatus.INERROR:
            raise DatabaseError("the transaction had failed and was rolled back")
        if wanted.token:
            return result, await connection.commit_with_token()
        await connection.commit()
        return result, None

    def _judge(
        self,
        run: _Run[ResultT],
        error: psycopg.Error,
        fault: Fault,
        returned: list[ResultT],
        *,
        node: str,
        overdue: bool,
    ) -> Exception:
        """Turn a failed attempt into what is raised: again, or the last word."""
        wanted = run.wanted
        translated = translate(error, fault, node=node, key=wanted.key)
        translated.__cause__ = error
        if fault.action is Action.DOUBT:
            self._roster.publish(Doubted(node=node, key=wanted.key))
            if wanted.key is not None and returned:
                run.doubted[:] = returned
                return Again(translated, fault)
            return translated
        late = monotonic() >= wanted.deadline
        if overdue or (late and (fault.sqlstate == "57014" or fault.action.repeats)):
            return DeadlineExceeded("the deadline passed; nothing was applied")
        if fault.action.repeats:
            return Again(translated, fault)
        return translated

    async def _already(self, run: _Run[ResultT]) -> ResultT:
        """The key is there: by our own attempt in doubt, or by another write."""
        key = run.wanted.key or ""
        left = run.wanted.deadline - monotonic()
        resolution = await self.resolve(key, min(left, run.wanted.acquire_s))
        if resolution is Resolution.VOID:
            run.doubted.clear()  # so nothing of an earlier attempt was applied either
            raise Conflict(
                "this write key was declared void by `resolve`: take a new one",
                constraint=CONSTRAINT,
            )
        if run.doubted:
            self.budget.succeeded()
            return run.doubted[0]
        raise AlreadyExists(
            "the write with this key was applied before", constraint=CONSTRAINT
        )

    async def resolve(self, key: str, limit_s: float) -> Resolution:
        """Claim a key on the current primary; see `AsyncCluster.resolve`."""
        deadline = monotonic() + limit_s
        while True:
            left = deadline - monotonic()
            if left <= 0:
                raise InDoubt("the key could not be resolved in time", key=key)
            try:
                return await self._claim(key, left)
            except (InDoubt, RetryLater, Unavailable):
                # Claiming twice is claiming once: what failed may simply run again.
                seen = self._roster.changed.count
                pause = min(CLAIM_AGAIN_S, max(deadline - monotonic(), 0.0))
                self._dispatch.check()
                await self._roster.changed.wait(seen, pause)

    async def _claim(self, key: str, limit_s: float) -> Resolution:
        lease = AsyncLease(self._dispatch, self._roster, Intent.WRITE, limit_s)
        async with lease as connection:
            connection.deadline = monotonic() + limit_s
            cursor = await connection.execute(CLAIM, (key, connection.node.timeline))
            row = await cursor.fetchone()
        return Resolution(row[0]) if row is not None else Resolution.VOID


def _doubt(run: _Run[ResultT], error: AuthkitError) -> None:
    """An attempt that came to no key says nothing of an earlier one in doubt.

    Raises:
        InDoubt: there is one.
    """
    if run.doubted and not isinstance(error, InDoubt):
        raise InDoubt(
            "a commit was lost before it was confirmed, and no attempt after it could"
            " settle it: resolve the key",
            key=run.wanted.key,
        ) from error


def _failure(state: RetryCallState) -> Again:
    outcome = state.outcome
    error = None if outcome is None else outcome.exception()
    if not isinstance(error, Again):
        raise TypeError("only an attempt that may be repeated is counted here")
    return error


def _key_taken(error: psycopg.Error, wanted: Wanted) -> bool:
    return (
        wanted.key is not None
        and isinstance(error, psycopg.errors.UniqueViolation)
        and error.diag.constraint_name == CONSTRAINT
    )
