"""Rows that had their time, deleted in batches that nobody waits for."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter, sleep
from typing import Final, LiteralString, cast

import psycopg

from authkit.errors import DatabaseError
from authkit.hot._sync import statement
from authkit.hot.binding import write_exactly
from authkit.hot.operation import AnyOperation

Progress = Callable[[str, int, int], None]

# What a caller may meet is one batch: a hundred rows take about a millisecond.
BATCH: Final = 100
# Rests in times of what a batch took: the share of one core that a purge takes is 1/5.
REST: Final = 4.0
# A purge names what it takes in its inner query: the same rows, counted.
_INNER: Final = re.compile(
    r"\((?:ARRAY\()?\s*(SELECT\b.*?LIMIT \$\d)\s*(?:FOR UPDATE SKIP LOCKED)?\s*\)*\s*$",
    re.DOTALL,
)
_ORDER: Final = re.compile(r"ORDER BY \w+\s+(?=LIMIT)")


def counted(operation: AnyOperation) -> str:
    """Return the query that counts what a purge would delete.

    Raises:
        DatabaseError: the operation is no purge.
    """
    found = _INNER.search(operation.sql)
    if found is None:
        raise DatabaseError(f"{operation.name} names no rows")
    rows = _ORDER.sub("", found[1])  # nothing is sorted to be counted
    return f"SELECT count(*) FROM ({rows}) AS doomed"  # noqa: S608 # our own SQL


def purge(
    connection: psycopg.Connection,
    operation: AnyOperation,
    params: tuple[timedelta, ...],
    batch: int,
    rest: float,
    name: str,
    tell: Progress,
) -> int:
    """Delete in batches and rest after each; returns how many went."""
    whole = count(connection, operation, params)
    done = 0
    # What others hold, and what comes meanwhile, is left to the next run.
    while done < whole:
        began = perf_counter()
        gone = statement.execute(connection, operation, (*params, batch))
        if not gone:
            break
        done += gone
        tell(name, done, max(whole, done))
        sleep(rest * (perf_counter() - began))
    return done


def count(
    connection: psycopg.Connection,
    operation: AnyOperation,
    params: tuple[timedelta, ...],
) -> int:
    """Return how many rows a purge would delete."""
    cursor = psycopg.RawCursor(connection)
    write_exactly(cursor.adapters, operation)
    query = cast("LiteralString", counted(operation))
    row = cursor.execute(query, (*params, 2**62)).fetchone()
    return 0 if row is None else int(row[0])
