"""How often a connection waited for its server, by libpq's own trace."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO

from psycopg.pq import Trace
from psycopg.pq.abc import PGconn


@contextmanager
def counted(connection: PGconn) -> Generator[Callable[[], int]]:
    """Trace a connection for a block; yields what tells the round trips afterwards.

    A round trip begins whenever something is sent after something was received
    (documentation of libpq, `PQtrace`: F comes from the frontend, B from the backend).
    """
    with TemporaryFile("w+b") as trace:
        connection.trace(trace.fileno())
        connection.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        found = 0
        try:
            yield lambda: found
        finally:
            connection.untrace()
            found = _turns(trace)


def _turns(trace: IO[bytes]) -> int:
    trace.seek(0)
    turns, before = 0, b"B"
    for line in trace:
        sender = line[:1]
        if sender in {b"F", b"B"}:
            turns += sender == b"F" and before == b"B"
            before = sender
    return turns
