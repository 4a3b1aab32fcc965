"""What makes a statement fast: prepared by its own name, its types known beforehand.

psycopg chooses a parameter's type by its value and asks its statement cache at every
call. An operation declares its types, so both are settled once per connection: what is
left of a call is to write the values, send them by the statement's name, and read the
rows (about half of the client's CPU time).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import abc, pq
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.errors import FeatureNotSupported, InvalidSqlStatementName
from psycopg.generators import execute, fetch, send

from authkit.hot import arrays
from authkit.hot.arrays import Dump
from authkit.hot.lengths import ExactDumper
from authkit.hot.operation import AnyOperation

# The statement is not there (any more), or its plan does not fit the tables any more:
# it did not run, and may be prepared again and run.
GONE: Final = (InvalidSqlStatementName, FeatureNotSupported)

# The dumpers of these do not look at what they are given.
_UNGUARDED: Final[dict[str, type]] = {"interval": timedelta, "timestamptz": datetime}
_numbers = count()
_KEPT: Final = "_authkit_lane"
# As numbers: a member of an enumeration is slow to hash, and to convert.
TEXT: Final = int(pq.Format.TEXT)
BINARY: Final = int(pq.Format.BINARY)
FINE: Final = (int(pq.ExecStatus.TUPLES_OK), int(pq.ExecStatus.COMMAND_OK))

AnyConnection: TypeAlias = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]


class Prepared:
    """An operation on one connection: its name there, and how to read its rows."""

    __slots__ = ("dumps", "formats", "name", "oids", "reader", "started")

    def __init__(self, operation: AnyOperation) -> None:
        # Of a statement that does not fit any more the old name is still taken.
        self.name = f"{operation.name}/{next(_numbers)}".encode()
        self.oids, self.formats, self.dumps = _writing(operation.types)
        self.reader = Transformer(context())
        self.started = False

    def values(self, params: Sequence[object]) -> list[Buffer | None]:
        """Write the parameters as the server reads them; None is NULL."""
        if len(self.dumps) == 1:  # a point read's: half the time of a loop
            (value,) = params
            return [None if value is None else self.dumps[0](value)]
        return [
            None if value is None else dump(value)
            for dump, value in zip(self.dumps, params, strict=True)
        ]

    def read(self, result: pq.abc.PGresult) -> abc.Transformer:
        """Return what reads the rows; the columns are the same every time."""
        reader = self.reader
        reader.set_pgresult(result, set_loaders=not self.started)
        self.started = True
        return reader


Call: TypeAlias = tuple[Prepared, list["Buffer | None"]]


def context() -> AdaptersMap:
    """Return how values are read: times are in UTC, whatever zone the session has."""
    return psycopg.adapters


@cache
def _writing(
    types: tuple[str, ...],
) -> tuple[list[int], list[int], list[Dump]]:
    oids: list[int] = []
    formats: list[int] = []
    dumps: list[Dump] = []
    transformer = Transformer(context())
    for name in types:
        oid = _oid(name)
        oids.append(oid)
        if name == "inet":
            # Addresses arrive as text, checked and in their one writing.
            formats.append(TEXT)
            dumps.append(str.encode)
        else:
            formats.append(BINARY)
            element = name.removesuffix("[]")
            dump = _dump(element, transformer)
            dumps.append(
                dump if element == name else arrays.writer(element, _oid(element), dump)
            )
    return oids, formats, dumps


def _dump(name: str, transformer: abc.Transformer) -> Dump:
    dumper = (
        ExactDumper
        if name == "interval"
        else context().get_dumper_by_oid(_oid(name), pq.Format.BINARY)
    )
    dump = dumper(type(None), transformer).dump
    return _bytes_or(dump) if name == "bytea" else _guarded(name, dump)


def _bytes_or(dump: Dump) -> Dump:
    """Write bytes as they are: psycopg's own way, in Python, asks what they are."""

    def written(value: object) -> Buffer | None:
        return value if isinstance(value, bytes) else dump(value)

    return written


def _guarded(name: str, dump: Dump) -> Dump:
    kind = _UNGUARDED.get(name)
    if kind is None:
        return dump

    def guarded(value: object) -> Buffer | None:
        if not isinstance(value, kind):
            raise TypeError(f"{name} is not written from {type(value).__name__}")
        return dump(value)

    return guarded


def _oid(name: str) -> int:
    element = name.removesuffix("[]")
    info = psycopg.adapters.types[element]
    return info.oid if element == name else info.array_oid


def of(connection: AnyConnection) -> dict[str, Prepared]:
    """Return what is prepared on a connection, by the operation's name.

    It is kept with the connection: a table of connections would cost a weak reference
    at every call.
    """
    kept = connection.__dict__
    found: dict[str, Prepared] | None = kept.get(_KEPT)
    if found is None:
        found = kept[_KEPT] = {}
    return found


def ask(
    pgconn: pq.abc.PGconn, prepared: Prepared, values: list[Buffer | None]
) -> PQGen[pq.abc.PGresult]:
    """Send one statement and fetch its result.

    Sent from here and not before, so that the connection notes the state in which the
    statement found it: a write that is lost on the way is in doubt.
    """
    pgconn.send_query_prepared(prepared.name, values, prepared.formats, BINARY)
    results = yield from execute(pgconn)
    # A second one is the refusal to commit: by a deferred constraint, or where every
    # transaction is serializable.
    return results[-1]


def exchange(
    pgconn: pq.abc.PGconn, calls: Sequence[Call], after: str | None
) -> PQGen[tuple[list[pq.abc.PGresult], list[pq.abc.PGresult]]]:
    """Send statements as one transaction, and one more after it; fetch every result.

    All of them go out before the first answer is read. Up to the first Sync they are
    one implicit transaction (PostgreSQL documentation, section 34.5.1.1), which may
    still be refused there; `after` is a statement without parameters that runs behind
    it, in its own: what becomes of it says nothing of the transaction.
    """
    results: list[pq.abc.PGresult] = []
    behind: list[pq.abc.PGresult] = []
    committed = False
    try:
        pgconn.enter_pipeline_mode()
        for prepared, values in calls:
            pgconn.send_query_prepared(prepared.name, values, prepared.formats, BINARY)
        pgconn.pipeline_sync()
        if after is not None:
            pgconn.send_query_params(after.encode(), None)
            pgconn.pipeline_sync()
        yield from send(pgconn)
        yield from _up_to_sync(pgconn, results)
        committed = first_refused(results) is None
        if after is not None:
            yield from _up_to_sync(pgconn, behind)
        pgconn.exit_pipeline_mode()
    except psycopg.OperationalError:
        # What the server said before it went away tells more than that it did.
        if not committed and first_refused(results) is None:
            raise
    return results, behind


def _up_to_sync(pgconn: pq.abc.PGconn, results: list[pq.abc.PGresult]) -> PQGen[None]:
    ended = False
    while True:
        result = yield from fetch(pgconn)
        if result is None:
            if ended:  # one ends each statement: two, and nothing will come
                raise psycopg.OperationalError("the connection was lost")
            ended = True
            continue
        ended = False
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return
        results.append(result)


def first_refused(results: Sequence[pq.abc.PGresult]) -> psycopg.Error | None:
    """Return the error of the first statement that failed; the rest were left out."""
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            return refused(result)
    return None


def fits(connection: AnyConnection) -> bool:
    """Tell whether a statement may run by itself on this connection, by its name.

    Not inside a transaction: psycopg deallocates every statement when it rolls back,
    and a name that is gone would cost the whole transaction. Not where preparing is
    switched off, as it must be behind some poolers.
    """
    pgconn = connection.pgconn
    return (
        connection.autocommit
        and connection.prepare_threshold is not None
        and not pgconn.transaction_status  # 0: idle
        and not pgconn.pipeline_status  # 0: off
    )


def refused(result: pq.abc.PGresult) -> psycopg.Error:
    """Return the error that the server sent."""
    return psycopg.errors.error_from_result(result)
