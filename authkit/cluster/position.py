"""Where a commit stands in the log: asked for, behind COMMIT or alone, and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, LiteralString

from psycopg import errors, generators
from psycopg.pq import ExecStatus

from authkit.cluster.consistency import Token, lsn_number
from authkit.errors import DatabaseError

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

# The timeline from the same answer: it is of this server, whatever it is by now.
POSITION: LiteralString = """
SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
       pg_current_wal_insert_lsn()::text
"""


def commit(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Commit and ask for the position, in one round trip.

    Without parameters this is one message of the simple query protocol, in which COMMIT
    ends the transaction and what follows it runs by itself.
    """
    pgconn.send_query(f"COMMIT;{POSITION}".encode())
    return (yield from generators.execute(pgconn))


def of_commit(results: Sequence[PGresult], encoding: str) -> Token | None:
    """Read what came of `commit`; None where it stands and its position was not told.

    Raises:
        psycopg.Error: the server refused to commit.
    """
    if results[0].status != ExecStatus.COMMAND_OK:
        raise errors.error_from_result(results[0], encoding)
    return of_answer(results[1:])


def of_answer(results: Sequence[PGresult]) -> Token | None:
    """Read a position; None where the server was stopped before it sent one."""
    if not results or results[0].status != ExecStatus.TUPLES_OK:
        return None
    timeline, lsn = (results[0].get_value(0, column) for column in (0, 1))
    if timeline is None or lsn is None:
        return None
    return of_row((timeline.decode(), lsn.decode()))


def of_row(row: tuple[str, str] | None) -> Token:
    """Read a position as a cursor gives it.

    Raises:
        DatabaseError: there is none.
    """
    if row is None:
        raise DatabaseError("the server sent no position")
    return Token(int(row[0], 16), lsn_number(row[1]))
