"""For asyncio: asking the server, and gathering the calls of tasks.

One task runs the batch, the others await it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from psycopg import AsyncConnection, OperationalError
from psycopg.abc import Buffer
from psycopg.generators import execute
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from authkit.cluster import AsyncNodeConnection
from authkit.hot import lane
from authkit.hot.gathering import Failure, Limits
from authkit.hot.lane import Prepared
from authkit.hot.operation import Operation

Result = TypeVar("Result")
_IDLE: Final = int(TransactionStatus.IDLE)
Run: TypeAlias = Callable[[Sequence[Any]], Coroutine[Any, Any, Sequence[Any]]]


async def ask(
    connection: AsyncConnection[Any], prepared: Prepared, values: list[Buffer | None]
) -> PGresult:
    """Send a prepared statement and return its result.

    It waits for the socket alone. psycopg's wait is made for everything: it looks up
    ten times a second whether it was interrupted, with a timer for every statement,
    where the cluster's watchers wake whoever waits by shutting the socket.

    Raises:
        psycopg.OperationalError: the connection was lost.
    """
    async with connection.lock:
        pgconn = connection.pgconn
        if not isinstance(connection, AsyncNodeConnection) or connection.severed:
            return await connection.wait(lane.ask(pgconn, prepared, values))
        connection.before = _IDLE
        pgconn.send_query_prepared(prepared.name, values, prepared.formats, lane.BINARY)
        if pgconn.flush():
            return (await connection.wait(execute(pgconn)))[-1]
        try:
            return await _answer(pgconn)
        except asyncio.CancelledError as exc:
            # psycopg has the server cancel the statement and waits for its end.
            await connection.wait(_Interrupted(execute(pgconn), exc))
            raise


async def _answer(pgconn: PGconn) -> PGresult:
    """Wait for the one result of a statement, and for the end of its message."""
    answer: PGresult | None = None
    loop = asyncio.get_running_loop()
    while True:
        while pgconn.is_busy():
            future: asyncio.Future[None] = loop.create_future()
            fileno = pgconn.socket
            try:
                loop.add_reader(fileno, _wake, future)
            except OSError as exc:
                raise OperationalError("the connection's socket is closed") from exc
            try:
                await future
            finally:
                loop.remove_reader(fileno)
            try:
                pgconn.consume_input()
            except OperationalError:
                # What the server said before it went away tells more than that it did.
                if answer is None or answer.status in lane.FINE:
                    raise
                return answer
        result = pgconn.get_result()
        if result is None:
            break
        # What COMMIT refuses comes after the rows.
        if answer is None or result.status not in lane.FINE:
            answer = result
    if answer is None:
        raise OperationalError("the server sent no result")
    return answer


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Interrupted(Generator[Any, Any, Any]):
    """A generator that is interrupted once, before it goes on."""

    def __init__(self, rest: Generator[Any, Any, Any], error: BaseException) -> None:
        self._rest = rest
        self._error: BaseException | None = error

    def send(self, value: Any) -> Any:
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._rest.send(value)

    def throw(self, *arguments: Any) -> Any:
        return self._rest.throw(*arguments)


class Gathering:
    """Calls of one operation that wait for each other.

    A batch holds what came while the ones before it were under way: nobody waits for a
    clock. A caller who is cancelled before the batch sets out is left out of it; later
    it happens without them.

    Args:
        run: answers many calls, in order; a `Failure` for one that failed.
        limits: how many go alone, how many batches run at once and how large they are.
        read: whether running them twice does no harm; unused here.
    """

    __slots__ = (
        "_limits",
        "_loop",
        "_run",
        "_running",
        "_tasks",
        "_waiting",
        "flying",
    )

    def __init__(self, run: Run, limits: Limits, *, read: bool) -> None:
        del read
        self._run = run
        self._limits = limits
        self._waiting: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self.flying = 0

    async def submit(
        self,
        operation: Operation[Any],
        call: Any,
        alone: Callable[[Operation[Any], Any], Awaitable[Result]],
    ) -> Result:
        """Answer a call: alone while few are under way, else with the others."""
        self.flying += 1
        try:
            if self.flying <= self._limits.alone:
                return await alone(operation, call)
            if self._running < self._limits.batches:
                self._start()
            future: asyncio.Future[Any] = self._loop.create_future()
            self._waiting.append((call, future))
            return await future
        finally:
            self.flying -= 1

    def _start(self) -> None:
        """Begin a batch; its loop is that of every call which waits for one.

        To ask for the running loop is a system call: once for each batch is enough.
        """
        self._running += 1
        self._loop = asyncio.get_running_loop()
        task = self._loop.create_task(self._drain())
        # The loop itself holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch: list[tuple[Any, asyncio.Future[Any]]] = []
                most = self._limits.share(self.flying)
                while self._waiting and len(batch) < most:
                    entry = self._waiting.popleft()
                    if not entry[1].done():
                        batch.append(entry)
                if batch:
                    await self._serve(batch)
        finally:
            self._running -= 1
            if self._waiting and not self._running:
                # This task was cancelled, by a loop that is being closed.
                for _, future in self._waiting:
                    future.cancel()

    async def _serve(self, batch: list[tuple[Any, asyncio.Future[Any]]]) -> None:
        try:
            answers = await self._run([call for call, _ in batch])
        except BaseException as exc:
            for _, future in batch:
                if isinstance(exc, Exception) and not future.done():
                    future.set_exception(exc)
                else:
                    future.cancel()
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if type(answer) is Failure:
                future.set_exception(answer.error)
            else:
                future.set_result(answer)
