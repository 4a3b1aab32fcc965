"""Make a backup of a running server: full, or of what changed since another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from authkit.errors import BackupError, Unavailable
from authkit.lab.programs import incremental_is_safe
from authkit.ops.backup.folder import UNFINISHED, Backup, Folder
from authkit.ops.backup.timelines import ENCODING, History
from authkit.ops.backup.tools import Told, Tools, complaint, find_tools
from authkit.ops.backup.verifying import verify_files
from authkit.ops.backup.wal import position
from authkit.ops.connection import CONNECT_TIMEOUT_S, connect, named
from authkit.settings import plain_url

_SERVER: LiteralString = """
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,
       current_setting('server_version') AS version,
       current_setting('server_version_num')::integer AS number,
       clock_timestamp() AS now,
       coalesce(current_setting('summarize_wal', true), 'off') AS summaries,
       (SELECT count(*) FROM pg_catalog.pg_tablespace) AS tablespaces
"""
# A refused connection has no SQLSTATE: these words are all there is.
_FORBIDDEN = re.compile(r"WAL ?sender|pg_hba\.conf", re.IGNORECASE)
_LABEL = re.compile(
    r"START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+).*?START TIMELINE: (\d+)", re.DOTALL
)
_RANGE = re.compile(r'"WAL-Ranges":.*?"End-LSN":\s*"([0-9A-F]+/[0-9A-F]+)"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself before a backup."""

    system: str
    version: str
    number: int
    now: datetime
    summaries: str
    tablespaces: int

    @property
    def major(self) -> int:
        """Its major version."""
        return self.number // 10_000


def ask_server(url: str) -> Server:
    """Ask a server what it is.

    Raises:
        AuthkitError: it does not answer.
    """
    with connect(url) as connection:
        try:
            row = connection.execute(_SERVER).fetchone()
        except psycopg.Error as exc:
            raise named(exc) from exc
    if row is None:
        raise BackupError("the server gave no answer")
    return Server(*row)


def ask_history(url: str) -> History:
    """Ask a server on which timeline it is, and how it came there.

    Over a replication connection, as the copy of a backup: to read the same in its
    folder takes more than REPLICATION.

    Raises:
        BackupError: this login may not have one; the message says why.
        Unavailable: it does not answer, or has no connection left.
    """
    try:
        connection = psycopg.connect(
            plain_url(url),
            replication="true",
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="authkit",
            # The file is sent as it is, and may name a moment in any encoding.
            client_encoding=ENCODING,
        )
    except psycopg.OperationalError as exc:
        said = complaint([line.strip() for line in str(exc).splitlines()])
        kind = BackupError if _FORBIDDEN.search(said) else Unavailable
        raise kind(f"the server gives no replication connection: {said}") from exc
    with connection:
        try:
            timeline = int(_one(connection, sql.SQL("IDENTIFY_SYSTEM"))[1])
            if timeline == 1:
                return History(timeline)
            asked = sql.SQL("TIMELINE_HISTORY {}").format(timeline)
            return History(timeline, str(_one(connection, asked)[1]))
        except psycopg.Error as exc:
            raise named(exc) from exc


def _one(
    connection: psycopg.Connection, command: sql.SQL | sql.Composed
) -> tuple[Any, ...]:
    row = connection.execute(command).fetchone()
    if row is None:
        raise BackupError("the server gave no answer")
    return row


def create(
    url: str,
    folder: Folder,
    *,
    incremental: bool = False,
    tools: Tools | None = None,
    tell: Told | None = None,
) -> Backup:
    """Make a backup and verify it; whatever fails leaves no backup behind.

    Args:
        url: the server; a login with REPLICATION.
        folder: where to.
        incremental: only what changed since the newest backup there.
        tools: PostgreSQL's programs; found if not given.
        tell: is told of progress.

    Raises:
        BackupError: another cluster's folder or another history's, no room, no
            permission, an incremental backup that would not restore: the message says
            which.
        AuthkitError: the server does not answer.
    """
    tools = tools or find_tools()
    server = ask_server(url)
    tools.require_major(server.major)
    if server.tablespaces > 2:
        raise BackupError(
            "the cluster has tablespaces of its own, whose files would be restored over"
            " the live ones: use pg_basebackup with --tablespace-mapping, or Barman"
        )
    folder.claim(server.system, ask_history(url))
    with folder.locked():
        folder.sweep()
        parent = _parent(folder, server) if incremental else None
        return _make(url, folder, server, parent, tools, tell)


def _make(
    url: str,
    folder: Folder,
    server: Server,
    parent: Backup | None,
    tools: Tools,
    tell: Told | None,
) -> Backup:
    began = perf_counter()
    backup_id = f"{server.now:%Y%m%dT%H%M%S}-{server.now.microsecond:06}"
    staged = folder.of(UNFINISHED + backup_id)
    staged.mkdir(mode=0o700)
    data = staged / "data"
    arguments: list[str | Path] = [
        "-D", data, "-X", "stream", "-c", "fast", "-P", "--no-password",
        "--manifest-checksums=CRC32C",
    ]  # fmt: skip
    if parent is not None:
        manifest = folder.data(parent.id) / "backup_manifest"
        arguments += ["--incremental", manifest]
    try:
        tools.run("pg_basebackup", arguments, url=url, phase="Copying", tell=tell)
        verify_files(tools, data, tell=tell)
        start, timeline, end = _positions(data)
        backup = Backup(
            id=backup_id,
            parent=None if parent is None else parent.id,
            system=server.system,
            version=server.version,
            timeline=timeline,
            start=start,
            end=end,
            started=server.now,
            finished=ask_server(url).now,
            size_bytes=sum(p.stat().st_size for p in data.rglob("*") if p.is_file()),
            seconds=round(perf_counter() - began, 3),
        )
        backup.save(staged)
        staged.rename(folder.of(backup_id))
    except BaseException:
        folder.sweep()
        raise
    return backup


def _parent(folder: Folder, server: Server) -> Backup:
    if server.major < 17:
        raise BackupError(
            f"PostgreSQL {server.version} makes no incremental backups (17 was the"
            " first to): make a full one"
        )
    if not incremental_is_safe((server.major, server.number % 10_000)):
        raise BackupError(
            f"incremental backups of PostgreSQL {server.version} may restore to wrong"
            " contents, and verify as good: upgrade to 17.11 or 18.5, or make a full"
            " one"
        )
    if server.summaries != "on":
        raise BackupError(
            "the server keeps no summaries of its log: set summarize_wal to on, make a"
            " full backup, then incremental ones"
        )
    return folder.find()


def _positions(data: Path) -> tuple[int, int, int]:
    label = _LABEL.search((data / "backup_label").read_text(encoding="utf-8"))
    manifest = (data / "backup_manifest").read_text(encoding="utf-8")
    ranges = _RANGE.search(manifest)
    if label is None or ranges is None:
        raise BackupError("the backup does not say from where to where it goes")
    return position(label[1]), int(label[2]), position(ranges[1])
