"""Commits stop waiting when no replica was seen for too long, and wait again later.

PostgreSQL itself never does: with its only synchronous replica gone a commit waits for
ever, and cancelling it leaves it committed on the primary alone.
"""

from __future__ import annotations

import select
import sys
import time
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg.pq import ExecStatus

from authkit.errors import LabError
from authkit.lab import replication, state
from authkit.lab.server import server_of
from authkit.lab.state import LabState

_ANSWER_S = 1.0
_ASK = b"""\
SELECT extract(epoch FROM clock_timestamp() - max(reply_time))
FROM pg_stat_replication WHERE state = 'streaming'"""


class Degrading:
    """Watches one lab's primary over a connection of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection: psycopg.Connection | None = None
        self._asked: str | None = None
        self._seen = time.monotonic()

    def consider(self, lab: LabState, after_s: float) -> None:
        """Look once, and let commits wait for none, or again, when it is time."""
        if lab.primary != self._asked:
            self._forget()
            self._asked, self._seen = lab.primary, time.monotonic()
        try:
            age_s = self._age_s(lab)
        except (LabError, psycopg.Error):  # a primary that is down confirms nothing
            self._forget()
            self._seen = time.monotonic()
            return
        now = time.monotonic()
        if age_s is not None:
            self._seen = now - age_s
        lost = now - self._seen > after_s
        if lost != lab.degraded:
            self._change(lab, degraded=lost)

    def _change(self, lab: LabState, *, degraded: bool) -> None:
        try:
            with state.locked(self._folder, timeout_s=0):
                fresh = state.load(self._folder)
                if fresh == lab and replication.confirmers(
                    replace(lab, degraded=False)
                ):
                    replication.apply(self._folder, replace(lab, degraded=degraded))
                    _say(
                        "no replica for too long: commits wait for none"
                        if degraded
                        else "a replica streams again: commits wait for it"
                    )
        except LabError:  # a command is at work on the lab: look again afterwards
            return

    def _age_s(self, lab: LabState) -> float | None:
        """Return how long ago a replica was heard; None when none streams.

        Raises:
            LabError, psycopg.Error: the primary does not answer.
        """
        server = server_of(self._folder, lab, "primary")
        if server.condition() != "running":
            raise LabError("the primary does not run")
        if self._connection is None:
            self._connection = psycopg.connect(
                server.conninfo(), connect_timeout=2, autocommit=True
            )
        # Not `execute`: it has no limit, and the primary can freeze at any moment.
        wire = self._connection.pgconn
        wire.send_query(_ASK)
        wire.flush()
        end = time.monotonic() + _ANSWER_S
        while wire.is_busy():
            readable, _, _ = select.select(
                [wire.socket], [], [], max(0.0, end - time.monotonic())
            )
            if not readable:
                raise LabError("the primary does not answer")
            wire.consume_input()
        result = wire.get_result()
        if result is None or result.status != ExecStatus.TUPLES_OK:
            raise LabError("the primary refuses to answer")
        while wire.get_result() is not None:
            pass
        value = result.get_value(0, 0)
        return None if value is None else float(value)

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _say(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    sys.stderr.write(f"{stamp} UTC {text}\n")
    sys.stderr.flush()
