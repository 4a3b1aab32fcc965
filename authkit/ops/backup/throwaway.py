"""A server for the length of a drill, on restored files, seen by nobody else.

What a drill that was killed has left, a copy of everything and a server on it, goes
with the next one. That its program is dead is told by a lock that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from authkit.errors import BackupError, LabError
from authkit.lab import account, memory, places, processes
from authkit.lab.server import Server
from authkit.ops.backup.folder import Backup, Folder
from authkit.ops.backup.tools import Tools
from authkit.ops.backup.wal import copy_segment, kept_in, segment_size, segments
from authkit.settings import plain_url

_RECOVERY_S = 3600.0
_PORT = 5432
_HBA = "local all all trust\n"
_PREFIX, _SERVER, _LOCK = "drill-", "restored", "authkit-drill.lock"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a drill restores to, and who runs the server there."""

    server: Server

    @property
    def data(self) -> Path:
        """The data folder to restore into."""
        return self.server.data

    @property
    def wal(self) -> Path:
        """Where the server finds the log."""
        return self.server.folder / "log"

    def prepare(self) -> None:
        """Make the server's folder and configuration."""
        self.server.prepare()
        self.server.write("pg_hba.conf", _HBA)
        self.server.configure(upstream=None)

    def take_log(self, folder: Folder, backup: Backup) -> None:
        """Copy the log since a backup to where the server's account can read it."""
        log = kept_in(folder.wal)
        size = segment_size(log)
        self.wal.mkdir(mode=0o700)
        needed = [s.name for s in segments(log, size) if s.number >= backup.end // size]
        histories = [path.name for path in folder.wal.glob("*.history")]
        for name in (*needed, *histories):
            copy_segment(folder.wal / name, self.wal / name)
            self.server.account.own(self.wal / name, 0o600)
        self.server.account.own(self.wal, 0o700)

    def recover(self) -> None:
        """Start the server and wait until it has recovered and takes writes.

        Raises:
            BackupError: recovery did not reach the moment; the log's words say why.
        """
        try:
            self.server.start(timeout_s=_RECOVERY_S)
        except LabError as exc:
            raise BackupError(f"recovery failed: {exc}") from exc

    def url(self, like: str) -> str:
        """Return the URL of the database that another URL names, on this server."""
        parts = conninfo_to_dict(plain_url(like))
        user = quote(str(parts.get("user") or "postgres"), safe="")
        name = quote(str(parts.get("dbname") or parts.get("user") or ""), safe="")
        sockets = quote(str(self.server.sockets), safe="")
        return f"postgresql://{user}@/{name}?host={sockets}&port={_PORT}"


@contextmanager
def throwaway(tools: Tools, root: Path | None = None) -> Generator[Place]:
    """Give a place, and remove it with its server at the end.

    What killed drills have left in the same folder is removed first.

    Args:
        tools: PostgreSQL's programs.
        root: a folder on the disk to restore to; default: the state folder.

    Raises:
        LabError: a server that a killed drill has left does not end.
    """
    who = account.choose()
    base = (root or places.state_root()).resolve()  # as a server's arguments will say
    base.mkdir(parents=True, exist_ok=True)
    for left in base.glob(f"{_PREFIX}*"):
        _sweep(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    sockets: Path | None = None
    with _hold(folder):
        try:
            folder.chmod(0o711)
            sockets = places.socket_folder(folder, who)
            yield Place(_server(folder, sockets, tools, who))
        finally:
            _remove(folder)
            if sockets is not None and not sockets.is_relative_to(folder):
                shutil.rmtree(sockets, ignore_errors=True)


def _server(folder: Path, sockets: Path, tools: Tools, who: account.Account) -> Server:
    return Server(
        name=_SERVER,
        port=_PORT,
        password="",  # the socket's folder is the server's account's alone
        cluster_name=_title(folder),
        folder=folder / _SERVER,
        sockets=sockets,
        programs=tools.programs,
        account=who,
        config=(
            ("listen_addresses", ""),
            ("shared_preload_libraries", ""),
            # Until the moment is reached nobody may look; and settings that a standby
            # must not have lower than its primary do not matter.
            ("hot_standby", "off"),
            ("archive_mode", "off"),
        ),
    )


def _title(folder: Path) -> str:
    return f"drill.{folder.name}"


@contextmanager
def _hold(folder: Path) -> Generator[None]:
    new = folder / f".{_LOCK}"
    with new.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # Locked before it has its name: one that is not locked has a dead maker.
        new.rename(folder / _LOCK)
        yield


def _sweep(folder: Path) -> None:
    """Remove a folder whose drill was killed; leave alone whatever is not surely so."""
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return  # anybody may make one of this name, or a link, in a shared folder
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # no drill's, or its drill has just removed it
    with os.fdopen(handle) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _remove(folder)


def _remove(folder: Path) -> None:
    data = folder / _SERVER / "data"
    processes.kill_all(data, _title(folder))
    memory.forget(data)
    # The lock goes last: what is interrupted here is still known for what it is.
    shutil.rmtree(folder / _SERVER, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
