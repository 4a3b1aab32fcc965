"""Keep the write-ahead log as it is written: pg_receivewal, watched and restarted.

It confirms what it has flushed (`--synchronous`) through a slot, so the server removes
nothing that is not kept; whoever puts it among the synchronous standbys loses nothing.
After a failover it goes on with the new primary, in the same folder.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

import psycopg

from authkit.errors import AuthkitError, BackupError
from authkit.ops.backup.folder import Folder
from authkit.ops.backup.making import ask_history, ask_server
from authkit.ops.backup.tools import Tools, complaint, end, find_tools
from authkit.ops.backup.wal import position, shown
from authkit.ops.connection import connect, named

logger = logging.getLogger("authkit.backup")

SLOT = "authkit_backup"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_LIVED_S = 10.0


class Stream:
    """A stream of the log into a folder; runs until it is stopped.

    Args:
        url: the server, or what tells where it is now, asked before each start: a
            failover moves it, a password expires. A login with REPLICATION.
        folder: whose `wal` it fills.
        slot: the replication slot that holds what was not received yet.
        tools: PostgreSQL's programs; found if not given.
        tell: is told, in words, of each restart.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        folder: Folder,
        *,
        slot: str = SLOT,
        tools: Tools | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._locate = url if callable(url) else partial(str, url)
        self._url: str | None = None
        self._folder = folder
        self._slot = slot
        self._tools = tools or find_tools()
        self._tell = tell or logger.warning
        self._ended = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self.restarts = 0

    def __enter__(self) -> Self:
        """Make the slot and begin, in a thread.

        Raises:
            BackupError: the folder is another cluster's, or the server refuses.
            AuthkitError: the server does not answer, or nobody leads.
        """
        self.prepare()
        self._thread = threading.Thread(target=self.run, name="authkit-backup-stream")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; the slot stays, and holds the log for the next stream."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def prepare(self) -> None:
        """Claim the folder and make the slot, where the server is now.

        Raises:
            BackupError: the folder is another cluster's, or the server refuses.
            AuthkitError: the server does not answer, or nobody leads.
        """
        url = self._locate()
        server = ask_server(url)
        self._tools.require_major(server.major)
        self._folder.claim(server.system, ask_history(url))
        make_slot(self._tools, self._folder.wal, url, self._slot)
        self._url = url

    def run(self) -> None:
        """Stream until `stop`; whatever ends it, it is tried again, for ever."""
        pause = _FIRST_PAUSE_S
        while not self._ended.is_set():
            began = monotonic()
            said = self._try()
            if self._ended.is_set():
                return
            pause = _FIRST_PAUSE_S if monotonic() - began > _LIVED_S else pause
            self.restarts += 1
            self._tell(f"{said}; again in {pause:.1f} s")
            self._ended.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def stop(self) -> None:
        """End the stream; what was received is flushed."""
        self._ended.set()
        if self._process is not None:
            end(self._process)

    @property
    def pid(self) -> int | None:
        """The process that receives now."""
        return None if self._process is None else self._process.pid

    def wait_for(self, lsn: int, *, within_s: float = 30.0) -> float:
        """Wait until everything up to a position is kept; returns how long it took.

        Raises:
            BackupError: it is not, within the time.
        """
        began = monotonic()
        url = self._locate()
        while not kept(url, self._slot, lsn):
            if monotonic() - began > within_s:
                raise BackupError(
                    f"the log is not kept up to {shown(lsn)} after {within_s:g} s"
                )
            self._ended.wait(0.02)
        return monotonic() - began

    def _try(self) -> str:
        """Stream for as long as it goes; return why it went no further."""
        try:
            if self._url is None:
                self.prepare()
            return f"pg_receivewal ended ({self._receive()})"
        except AuthkitError as exc:
            return str(exc)
        finally:
            self._url = None  # by now another server may lead, and has no slot

    def _receive(self) -> str:
        arguments: list[str | Path] = [
            "-D", self._folder.wal, "-S", self._slot, "--synchronous", "--no-loop",
            "--no-password",
        ]  # fmt: skip
        with self._tools.start("pg_receivewal", arguments, self._url) as process:
            self._process = process
            try:
                if self._ended.is_set():
                    process.terminate()
                return complaint([line.rstrip() for line in process.stdout or ()])
            finally:
                end(process)  # it is in a session of its own, where no Ctrl-C arrives


def make_slot(tools: Tools, wal: Path, url: str, slot: str) -> None:
    """Make a physical slot, if it is missing; it holds the log once a stream has it.

    Not before: `kept` could not tell what a new slot reserves from what was received.

    Raises:
        BackupError: the server refuses.
    """
    tools.run(
        "pg_receivewal",
        ["-D", wal, "-S", slot, "--create-slot", "--if-not-exists", "--no-password"],
        url=url,
    )


def receive_until(
    tools: Tools, folder: Folder, url: str, lsn: int, *, slot: str = SLOT
) -> None:
    """Receive the log up to a position once, for where no stream runs.

    Raises:
        BackupError: the server refuses, or a stream has the slot.
    """
    folder.claim(ask_server(url).system, ask_history(url))
    make_slot(tools, folder.wal, url, slot)
    tools.run(
        "pg_receivewal",
        # It ends once it is past this, and may wait long for what comes after.
        ["-D", folder.wal, "-S", slot, "--endpos", shown(lsn - 1), "--synchronous",
         "--no-loop", "--no-password"],
        url=url,
    )  # fmt: skip


def kept(url: str, slot: str, lsn: int) -> bool:
    """Tell whether a slot's consumer has flushed everything up to a position."""
    row = _slot(url, slot)
    return row is not None and row[0] is not None and position(row[0]) >= lsn


def streaming(url: str, slot: str = SLOT) -> bool:
    """Tell whether a stream has the slot now."""
    row = _slot(url, slot)
    return row is not None and bool(row[1])


def _slot(url: str, slot: str) -> tuple[str | None, bool] | None:
    with connect(url) as connection:
        try:
            return connection.execute(
                "SELECT restart_lsn::text, active"
                " FROM pg_catalog.pg_replication_slots WHERE slot_name = %s",
                [slot],
            ).fetchone()
        except psycopg.Error as exc:
            raise named(exc) from exc
