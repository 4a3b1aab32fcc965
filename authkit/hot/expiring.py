"""Rows that expired, deleted in batches: one statement for every table with an end."""

from __future__ import annotations

from typing import LiteralString

from authkit.hot.operation import Intent, Operation


def purge(
    name: LiteralString, table: LiteralString, key: LiteralString
) -> Operation[None]:
    """Return what deletes the rows of a table that expired long enough ago.

    now() here: the index on expires_at needs a value that stands still. Rows that
    others hold are left to the next run, so that two purges at once share the work.

    Args:
        name: of the operation.
        table: it has `expires_at`, with an index.
        key: its primary key, or another that is unique.
    """
    return Operation(
        name=name,
        sql=f"""
    DELETE FROM authkit.{table}
    WHERE {key} = ANY (ARRAY(
      SELECT {key} FROM authkit.{table}
      WHERE expires_at < now() - $1::interval
      ORDER BY expires_at
      LIMIT $2
      FOR UPDATE SKIP LOCKED))
    """,  # noqa: S608 # names of ours
        parameters=("keep", "limit"),
        types=("interval", "int8"),
        row=None,
        intent=Intent.WRITE,
        idempotent=True,
    )
