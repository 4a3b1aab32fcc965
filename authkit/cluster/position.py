"""Where a primary's log stands: how it is asked, and what it answers. Pure."""

from __future__ import annotations

from typing import LiteralString

from authkit.cluster.consistency import Token, lsn_number
from authkit.errors import DatabaseError

# The timeline from the same answer: it is of this server, whatever it is by now.
POSITION: LiteralString = """
SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
       pg_current_wal_insert_lsn()::text
"""
# Without parameters this is one message of the simple query protocol, in which COMMIT
# ends the transaction and what follows it runs by itself.
COMMIT_AND_POSITION: LiteralString = "COMMIT;" + POSITION


def token_at(row: tuple[str, str] | None) -> Token:
    """Read the answer.

    Raises:
        DatabaseError: there is none.
    """
    if row is None:
        raise DatabaseError("the server sent no position")
    return Token(int(row[0], 16), lsn_number(row[1]))
