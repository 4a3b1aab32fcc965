"""Attempts that are acknowledged before they are written: for those who ask for it.

What can be lost: whatever is still in the queue when the process dies, and what could
not be written until the queue gave up. It is bounded, so that a database that is away
does not fill the memory; and it says how many it lost, and how many were refused.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import monotonic
from types import TracebackType
from typing import Final, Self

from authkit.cluster._primitives.aio import Signal, Worker, join, nap, spawn
from authkit.cluster._primitives.forks import generation
from authkit.errors import AlreadyExists, AuthkitError, Closed, Saturated
from authkit.hot import attempts
from authkit.hot.attempt_values import AttemptRecord
from authkit.hot.folding import FOLDS, Call, one_is_to_blame

from .runner import AsyncRunner

logger = logging.getLogger("authkit.hot")
AT_ONCE: Final = 500
# Between tries at a database that is away, or takes nothing from anybody now.
FIRST_NAP_S, LONGEST_NAP_S = 0.02, 1.0
# The worker also looks by itself now and then.
LOOK_S: Final = 5.0


class AsyncAttemptQueue:
    """`async with kit.attempts.queue() as queue: queue.put(attempt)`; usable once.

    The end of the block waits until everything is written, or `patience` is over.

    Args:
        runner: writes them; not one of a transaction.
        most: how many may wait.
        patience: how long the end of the block waits for a database that is away, or
            that takes nothing: a timeout, a full disk, a privilege that is not there.
    """

    def __init__(self, runner: AsyncRunner, *, most: int, patience: timedelta) -> None:
        self._runner = runner
        self._most = most
        self._patience_s = patience.total_seconds()
        self._waiting: deque[Call] = deque()
        self._changed = Signal()
        self._worker: Worker | None = None
        self._closing = False
        self._generation = generation.number
        self._give_up_at = float("inf")
        self._refused = 0
        self._lost = 0

    @property
    def waiting(self) -> int:
        """How many are acknowledged and not yet written."""
        return len(self._waiting)

    @property
    def refused(self) -> int:
        """How many the database would not have, each for what stands in it."""
        return self._refused

    @property
    def lost(self) -> int:
        """How many were still waiting when the block ended; known then."""
        return self._lost

    def put(self, attempt: AttemptRecord) -> None:
        """Acknowledge an attempt; it is written soon. Its time is now, by this clock.

        Raises:
            InvalidInput: a part of it is not acceptable.
            Saturated: too many wait already; nothing was taken.
            Closed: the block has not begun, or is over, or is another process's.
        """
        if self._worker is None or self._closing:
            raise Closed("the queue of attempts is not open")
        if self._generation != generation.number:
            raise Closed("the queue of attempts writes in another process: open one")
        if len(self._waiting) >= self._most:
            raise Saturated(f"{self._most:,} attempts wait to be written already")
        if attempt.occurred_at is None:
            attempt = replace(attempt, occurred_at=datetime.now(UTC))
        self._waiting.append(attempt.params())
        self._changed.raised()

    async def __aenter__(self) -> Self:
        """Begin to write what is put."""
        if self._worker is not None:
            raise Closed("a queue of attempts is used once")
        self._generation = generation.number
        self._worker = spawn(self._work, name="authkit attempts")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the rest; in a process that a fork made it is the parent's to write."""
        if self._generation != generation.number:
            return
        self._give_up_at = monotonic() + self._patience_s
        self._closing = True
        self._changed.raised()
        if self._worker is not None:
            await join(self._worker, self._patience_s + LONGEST_NAP_S)
        self._lost = len(self._waiting)
        if self._lost:
            logger.error("%d attempts were not written", self._lost)

    async def _work(self) -> None:
        fold = FOLDS[attempts.RECORD.name]
        pause_s, size = FIRST_NAP_S, AT_ONCE
        while True:
            seen = self._changed.count
            batch = list(islice(self._waiting, size))
            if not batch:
                if self._closing:
                    return
                await self._changed.wait(seen, LOOK_S)
                continue
            try:
                await self._runner.write(fold.many, fold.pack(batch))
            except (AuthkitError, TypeError, ValueError, OverflowError) as exc:
                # Fewer lead to the one that is to blame, and take less time.
                size = max(len(batch) // 2, 1)
                if one_is_to_blame(exc):
                    if len(batch) == 1:
                        self._left_out(exc)
                    continue
                if monotonic() + pause_s > self._give_up_at:
                    return
                logger.warning("attempts wait: %s", exc)
                if len(batch) == 1:  # it may be why: the others go before it
                    self._waiting.rotate(-1)
                await nap(pause_s)
                pause_s = min(pause_s * 2, LONGEST_NAP_S)
                continue
            pause_s, size = FIRST_NAP_S, min(size * 2, AT_ONCE)
            for _ in batch:
                self._waiting.popleft()

    def _left_out(self, exc: Exception) -> None:
        """Leave out the first; one that is there already is done."""
        self._waiting.popleft()
        # Their key is their own: where it stands already, a try before this one was in
        # doubt and did commit.
        if not isinstance(exc, AlreadyExists):
            self._refused += 1
            logger.error("an attempt was refused: %s", type(exc).__name__)
