"""One question to one node, on a socket of its own, within a limit.

Spoken through `psycopg.pq`, without blocking: `Connection.connect` has a floor of two
seconds, and cancelling a statement waits for the server that does not answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from psycopg import OperationalError, pq

from authkit.cluster._primitives.aio import outside, ready
from authkit.cluster.probe_query import QUESTION, read_answer
from authkit.cluster.target import Target
from authkit.cluster.views import Observation
from authkit.errors import Unavailable

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

# A timer that comes this much later than asked for says more of this process than of
# the node: what it found is not evidence.
LATE_S = 0.1


class Hung(Exception):
    """No byte came within the limit. `late`: our own timer cannot be trusted."""

    def __init__(self, *, late: bool) -> None:
        self.late = late
        super().__init__("no answer in time")


class Refused(Exception):
    """The node, or the network, said no; the reason is safe to show."""


class AsyncProbe:
    """A kept connection to one node, used for nothing but the question."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._pgconn: PGconn | None = None
        self._pid = os.getpid()

    async def ask(
        self,
        limit: float,
        *,
        late_s: float | None = None,
        on_late: Callable[[], None] | None = None,
    ) -> Observation:
        """Ask once; on a kept connection that was lost meanwhile, again on a new one.

        Args:
            limit: seconds for everything, connecting included.
            late_s: after so many seconds without an answer `on_late` is called, once.
            on_late: must not wait.

        Raises:
            Hung: nothing came in time.
            Refused: the connection failed, or the answer is not a PostgreSQL 15's.
        """
        patience = _Patience(limit, late_s, on_late)
        kept = self._pgconn is not None
        try:
            try:
                sent, result = await self._attempt(patience)
            except (OperationalError, Refused):
                if not kept:
                    raise
                self.close()
                sent, result = await self._attempt(patience)
        except OperationalError as exc:
            self.close()
            raise Refused(_first_line(str(exc))) from exc
        except BaseException:
            self.close()
            raise
        if result.status != pq.ExecStatus.TUPLES_OK:
            self.close()
            raise Refused(_why(result))
        values = [result.get_value(0, column) for column in range(result.nfields)]
        try:
            return read_answer(
                self._target.name,
                values,
                sent=sent,
                received=monotonic(),
                backend_pid=0 if self._pgconn is None else self._pgconn.backend_pid,
            )
        except ValueError as exc:
            raise Refused(str(exc)) from exc

    def close(self) -> None:
        """Close the connection; asking again opens another."""
        pgconn, self._pgconn = self._pgconn, None
        if pgconn is not None and self._pid == os.getpid():
            pgconn.finish()

    async def _attempt(self, patience: _Patience) -> tuple[float, PGresult]:
        pgconn = self._pgconn
        if pgconn is None:
            pgconn = await self._connect(patience)
        sent = monotonic()
        return sent, await self._query(pgconn, patience)

    async def _connect(self, patience: _Patience) -> PGconn:
        place = await self._address(patience)
        conninfo = self._target.conninfo(
            await self._password(patience), **place, application_name="authkit probe"
        )
        pgconn = self._pgconn = pq.PGconn.connect_start(conninfo.encode())
        while True:
            if pgconn.status == pq.ConnStatus.BAD:
                raise Refused(_first_line(pgconn.get_error_message()))
            state = pgconn.connect_poll()
            if state == pq.PollingStatus.OK:
                break
            if state == pq.PollingStatus.FAILED:
                raise Refused(_first_line(pgconn.get_error_message()))
            await patience.wait(pgconn.socket, write=state == pq.PollingStatus.WRITING)
        pgconn.nonblocking = 1
        return pgconn

    async def _address(self, patience: _Patience) -> dict[str, str]:
        """Resolve the name ourselves: libpq would block on it."""
        target = self._target
        if not target.needs_resolver:
            return {}
        try:
            found = await outside(
                (target.host, target.port), target.addresses, patience.left()
            )
        except OSError as exc:
            why = str(exc) or "the resolver does not answer"
            raise Refused(f"its host name cannot be resolved: {why}") from exc
        return {
            "host": ",".join([target.host] * len(found)),
            "hostaddr": ",".join(found),
        }

    async def _password(self, patience: _Patience) -> str | None:
        target = self._target
        if target.password is None:
            return None
        try:
            return await outside(target.question, target.ask_password, patience.left())
        except TimeoutError as exc:
            raise Refused("no password was given for it in time") from exc
        except Unavailable as exc:
            raise Refused(str(exc)) from exc

    async def _query(self, pgconn: PGconn, patience: _Patience) -> PGresult:
        pgconn.send_query_params(QUESTION.encode(), None)
        while pgconn.flush():
            await patience.wait(pgconn.socket, write=True)
        answer: PGresult | None = None
        while True:
            while pgconn.is_busy():
                await patience.wait(pgconn.socket, write=False)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                break
            answer = result
        if answer is None:
            raise Refused("it sent no answer")
        return answer


class _Patience:
    """The limit of one question, and who is told that the answer is late."""

    def __init__(
        self,
        limit: float,
        late_s: float | None,
        on_late: Callable[[], None] | None,
    ) -> None:
        self._began = monotonic()
        self._deadline = self._began + limit
        self._late_s = late_s
        self._on_late = on_late

    def left(self) -> float:
        """Seconds that remain."""
        return max(self._deadline - monotonic(), 0.0)

    async def wait(self, fileno: int, *, write: bool) -> None:
        """Wait until the socket is ready.

        Raises:
            Hung: it was not, in time.
            Refused: there is no socket.
        """
        if fileno < 0:
            raise Refused("the connection was lost")
        on_late, late_s = self._on_late, self._late_s
        if on_late is not None and late_s is not None:
            pause = min(self._began + late_s, self._deadline) - monotonic()
            if await ready(fileno, write=write, limit_s=pause):
                return
            self._on_late = None
            on_late()
        if await ready(fileno, write=write, limit_s=self.left()):
            return
        late = monotonic() - self._deadline > LATE_S
        # What arrived while this process did not run is an answer all the same.
        if await ready(fileno, write=write, limit_s=0):
            return
        raise Hung(late=late)


def _first_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[0] if lines else "the connection failed"


def _why(result: PGresult) -> str:
    code = result.error_field(pq.DiagnosticField.SQLSTATE)
    return f"it refused the probe (SQLSTATE {code.decode() if code else 'unknown'})"
