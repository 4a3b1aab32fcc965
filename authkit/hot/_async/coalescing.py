"""The coalescer: concurrent single calls fold into one statement.

It is a runner, so that every repository works over it unchanged. Calls that do not fold
(another operation, a replica's answer, a token, a transaction) pass through. A write is
answered after the commit of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from authkit.cluster import Token
from authkit.errors import AuthkitError, RetryLater
from authkit.hot._primitives.aio import Gathering
from authkit.hot.folding import FOLDS, Call, Calls, Fold, one_is_to_blame, sorted_out
from authkit.hot.gathering import Limits, failures
from authkit.hot.operation import AnyOperation, Intent, Operation
from authkit.hot.written import Params, Step, Written

from .runner import AsyncRunner

Row = TypeVar("Row")
DEFAULT_LIMITS = Limits()
# Batches lock in order, single calls may not: one of the two is told to try again.
_TRIES = 3


class AsyncCoalescing:
    """Runs operations, several calls of one at a time.

    Args:
        runner: what runs the statements; it takes a connection for each.
        limits: when calls go alone, and how large batches are.
    """

    def __init__(self, runner: AsyncRunner, limits: Limits = DEFAULT_LIMITS) -> None:
        self._runner = runner
        self._gatherings = {
            name: Gathering(
                _Batches(runner, fold).run,
                limits,
                read=fold.many.intent is Intent.READ,
            )
            for name, fold in FOLDS.items()
        }

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
            Unavailable: no node may serve it now.
        """
        gathering = self._gatherings.get(operation.name)
        if gathering is None or max_lag is not None or after is not None:
            return await self._runner.fetch_one(
                operation, params, max_lag=max_lag, after=after
            )
        return await gathering.submit(operation, params, self._runner.fetch_one)

    async def fetch_all(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> list[Row]:
        """Return every row; such calls do not fold.

        Raises:
            Unavailable: no node may serve it now.
        """
        return await self._runner.fetch_all(
            operation, params, max_lag=max_lag, after=after
        )

    async def execute(self, operation: AnyOperation, params: Params) -> int:
        """Return how many rows it touched.

        Raises:
            Unavailable: no node may serve it now.
            InDoubt: it was sent and its outcome is not known.
        """
        gathering = self._gatherings.get(operation.name)
        if gathering is None:
            return await self._runner.execute(operation, params)
        return await gathering.submit(operation, params, self._runner.execute)

    async def write(
        self,
        operation: Operation[Row],
        params: Params,
        *,
        behind: Step | None = None,
        token: bool = False,
    ) -> Written[Row]:
        """Run a write; with a statement before it, or for a token, by itself.

        Raises:
            Unavailable: no node may serve it now.
            InDoubt: it was sent and its outcome is not known.
        """
        gathering = self._gatherings.get(operation.name)
        folds = gathering is not None and FOLDS[operation.name].kind(params) is not None
        if gathering is None or not folds or behind is not None or token:
            return await self._runner.write(
                operation, params, behind=behind, token=token
            )
        return await gathering.submit(operation, params, self._runner.write)


class _Batches:
    """Answers many calls of one operation."""

    def __init__(self, runner: AsyncRunner, fold: Fold) -> None:
        self._runner = runner
        self._fold = fold

    async def run(self, calls: Calls) -> Sequence[Any]:
        """Answer calls in their order; a call that failed with its own error."""
        answers: list[Any] = [None] * len(calls)
        for places in sorted_out(self._fold, calls):
            answered = await self._kind([calls[place] for place in places])
            for place, answer in zip(places, answered, strict=True):
                answers[place] = answer
        return answers

    async def _kind(self, calls: list[Call]) -> list[Any]:
        """Answer calls that fold; where one spoils the batch, halve it to find it."""
        tried = 0
        while True:
            tried += 1
            try:
                rows = await self._rows(self._fold.pack(calls))
                return self._fold.answers(calls, rows)
            except RetryLater as exc:
                if tried == _TRIES:
                    return list(failures(exc, len(calls)))
            except (AuthkitError, TypeError, ValueError, OverflowError) as exc:
                if len(calls) == 1 or not one_is_to_blame(exc):
                    return list(failures(exc, len(calls)))
                break
        half = len(calls) // 2
        return [*await self._kind(calls[:half]), *await self._kind(calls[half:])]

    async def _rows(self, params: Params) -> list[Any]:
        many = self._fold.many
        if many.intent is Intent.READ:
            return await self._runner.fetch_all(many, params)
        written = await self._runner.write(many, params)
        return written.rows
