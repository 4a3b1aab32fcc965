"""Reading in clear leaves an entry in the audit trail, before the rows are shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from secrets import randbelow

from authkit.analysis.window import Window
from authkit.relational.event import AuditEvent
from authkit.schema.audit import AUDIT_SHARDS
from authkit.workload.connection import connect, named_faults

# What was read, of which time, and how many rows came; None: that is not known yet.
Noted = Callable[[str, Window | None, int | None], None]


def noting(url_for_writing: Callable[[], str]) -> Noted:
    """Return what writes the entry; where it cannot be written, nothing is shown.

    The entry says which database user read what, of which time, and how many rows; not
    which rows, because the trail must not name people either. An export has two: one
    before it reads, without a number, and one with it once all is written.
    """

    def note(source: str, within: Window | None, rows: int | None) -> None:
        with named_faults(), closing(connect(url_for_writing())) as connection:
            event = AuditEvent(
                actor=f"database:{connection.info.user}",
                action="frames.clear",
                target=f"frame:{source}",
                details={
                    "rows": rows,
                    "since": _moment(within, "since"),
                    "until": _moment(within, "until"),
                },
            )
            connection.execute(
                "SELECT authkit.audit_append(%s, %s)",
                (randbelow(AUDIT_SHARDS), event.canonical()),
            )

    return note


def _moment(within: Window | None, name: str) -> str | None:
    moment = None if within is None else getattr(within, name)
    return None if moment is None else moment.isoformat()
