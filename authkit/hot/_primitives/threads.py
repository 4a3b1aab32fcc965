"""For threads and greenlets: asking the server, and gathering their calls.

Whoever finds no batch under way leads: takes what waits, runs it, answers, and hands
the lead to the first who came meanwhile. There is no thread of ours, so that under
gevent's patches the callers are greenlets and nothing else changes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from psycopg import Connection, waiting
from psycopg.abc import Buffer
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from authkit.cluster import NodeConnection
from authkit.errors import InDoubt
from authkit.hot import lane
from authkit.hot.gathering import Failure, Limits, failures
from authkit.hot.lane import Prepared
from authkit.hot.operation import Operation

Result = TypeVar("Result")
Run: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]

_LEAD: Final = object()
_OPEN: Final = object()
_GONE: Final = object()


# psycopg waits in C unless it was patched to wait as greenlets do.
_PREEMPTIVE: Final = getattr(waiting.wait, "__name__", "") == "wait_c"
_IDLE: Final = int(TransactionStatus.IDLE)
_main: Final = threading.main_thread().ident


def ask(
    connection: Connection[Any], prepared: Prepared, values: list[Buffer | None]
) -> PGresult:
    """Send a prepared statement and return its result.

    In a thread libpq waits by itself, which is cheaper (by a third of the client's CPU
    time for a point read): it wakes when the cluster shuts the socket. The main thread
    waits as psycopg does, so that Ctrl-C is heard; greenlets do, so that others run.

    Raises:
        psycopg.OperationalError: the connection was lost.
    """
    with connection.lock:
        pgconn = connection.pgconn
        if (
            _PREEMPTIVE
            and isinstance(connection, NodeConnection)
            and not connection.severed
            and threading.get_ident() != _main
        ):
            connection.before = _IDLE
            return pgconn.exec_prepared(
                prepared.name,
                values,  # pyright: ignore[reportArgumentType] # None is NULL, as for sending
                prepared.formats,
                lane.BINARY,
            )
        return connection.wait(lane.ask(pgconn, prepared, values))


class _Entry:
    """A call, the gate its caller waits at, and what the caller finds behind it."""

    __slots__ = ("answer", "call", "gate")

    def __init__(self, call: Any) -> None:
        self.call = call
        self.answer: Any = _OPEN
        self.gate = threading.Lock()
        self.gate.acquire()


class Gathering:
    """Calls of one operation that wait for each other.

    A batch holds what came while the ones before it were under way: nobody waits for a
    clock.

    Args:
        run: answers many calls, in order; a `Failure` for one that failed.
        limits: how many go alone, how many batches run at once and how large they are.
        read: whether running them twice does no harm.
    """

    __slots__ = ("_limits", "_lock", "_read", "_run", "_running", "_waiting", "flying")

    def __init__(self, run: Run, limits: Limits, *, read: bool) -> None:
        self._run = run
        self._limits = limits
        self._read = read
        self._lock = threading.Lock()
        self._waiting: deque[_Entry] = deque()
        self._running = 0
        self.flying = 0

    def submit(
        self,
        operation: Operation[Any],
        call: Any,
        alone: Callable[[Operation[Any], Any], Result],
    ) -> Result:
        """Answer a call: alone while few are under way, else with the others."""
        entry: _Entry | None = None
        lead = False
        with self._lock:
            self.flying += 1
            if self.flying > self._limits.alone:
                entry = _Entry(call)
                lead = self._running < self._limits.batches
                if lead:
                    self._running += 1
                else:
                    self._waiting.append(entry)
        try:
            return (
                alone(operation, call)
                if entry is None
                else self._answer(entry, lead=lead)
            )
        finally:
            with self._lock:
                self.flying -= 1

    def _answer(self, entry: _Entry, *, lead: bool) -> Any:
        if not lead:
            try:
                entry.gate.acquire()
            except BaseException:
                self._leave(entry)
                raise
        if lead or entry.answer is _LEAD:
            self._lead(entry)
        answer = entry.answer
        if type(answer) is Failure:
            raise answer.error
        return answer

    def _leave(self, entry: _Entry) -> None:
        """Go away unanswered: a killed greenlet, or an interrupted main thread."""
        with self._lock:
            if entry.answer is _LEAD:
                self._hand_over()
                return
            entry.answer = _GONE
            if entry in self._waiting:
                self._waiting.remove(entry)

    def _lead(self, own: _Entry) -> None:
        """Run one batch and answer it; let the next one lead."""
        batch = [own]
        with self._lock:
            while self._waiting and len(batch) < self._limits.most:
                batch.append(self._waiting.popleft())
        try:
            answers = self._run([entry.call for entry in batch])
        except BaseException:
            self._ended(batch[1:])
            raise
        with self._lock:
            self._hand_over()
        own.answer = answers[0]
        for entry, answer in zip(batch[1:], answers[1:], strict=True):
            entry.answer = answer
            entry.gate.release()

    def _ended(self, others: list[_Entry]) -> None:
        """This caller was killed in the middle of the batch: that ends nobody else."""
        with self._lock:
            if self._read:
                # Who was taken into the batch may have left since: the lead must not
                # be handed to somebody who is not there.
                self._waiting.extendleft(
                    other for other in reversed(others) if other.answer is not _GONE
                )
            self._hand_over()
        if not self._read:
            doubt = InDoubt("the caller that ran this batch was ended meanwhile")
            for entry, failure in zip(
                others, failures(doubt, len(others)), strict=True
            ):
                entry.answer = failure
                entry.gate.release()

    def _hand_over(self) -> None:
        """With the lock held: let the first who waits lead, if anybody does."""
        if self._waiting:
            first = self._waiting.popleft()
            first.answer = _LEAD
            first.gate.release()
        else:
            self._running -= 1
