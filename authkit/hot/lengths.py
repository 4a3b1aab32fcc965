"""Lengths of time as PostgreSQL's intervals: so many microseconds, and no days.

psycopg writes a timedelta's days as days. Those are of the calendar: where the server's
time zone has summer time, two of them in a year are 23 and 25 hours long, and so would
be a lifetime of one day. A timedelta's are of 24 hours, whatever zone a session has.
"""

from __future__ import annotations

from datetime import timedelta
from struct import Struct
from typing import Final

import psycopg
from psycopg import pq
from psycopg.adapt import Dumper

# Microseconds, days, months (src/backend/utils/adt/timestamp.c, interval_recv).
_BINARY: Final = Struct("!qii").pack
_DAY_S: Final = 86_400


class ExactDumper(Dumper):
    """Writes a timedelta of up to 292,000 years."""

    format = pq.Format.BINARY
    oid = psycopg.adapters.types["interval"].oid

    def dump(self, obj: timedelta) -> bytes:
        """Return the interval in the binary format."""
        return _BINARY(_microseconds(obj), 0, 0)


class ExactTextDumper(ExactDumper):
    """Writes it as text: so psycopg's cursors write what stands in a list."""

    format = pq.Format.TEXT

    def dump(self, obj: timedelta) -> bytes:
        """Return the interval as text, whatever style the session has."""
        return b"%d microseconds" % _microseconds(obj)


def _microseconds(obj: timedelta) -> int:
    return (obj.days * _DAY_S + obj.seconds) * 1_000_000 + obj.microseconds
