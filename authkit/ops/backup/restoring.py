"""Restore a backup into a folder, ready to recover to a moment when it is started.

The files are put together beside the target and take its place at the end: what was
there before is kept, under another name.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from authkit.errors import BackupError
from authkit.lab.account import Account
from authkit.lab.processes import identify
from authkit.ops.backup.flushing import flush
from authkit.ops.backup.folder import Backup, Folder
from authkit.ops.backup.planning import Target, choose, require_reachable
from authkit.ops.backup.recovering import prepare_recovery
from authkit.ops.backup.tools import Told, Tools, find_tools
from authkit.ops.backup.verifying import verify
from authkit.ops.backup.wal import (
    Reach,
    holds_point,
    kept_in,
    last_commit,
    reach,
    segment_size,
    segments,
)

__all__ = ["Restored", "Target", "restore"]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored where; `previous` is what stood there before."""

    backup: Backup
    data: Path
    previous: Path | None
    verify_s: float
    restore_s: float


def restore(
    folder: Folder,
    to: Path,
    target: Target | None = None,
    *,
    backup_id: str | None = None,
    replace: str | None = None,
    verified: bool = True,
    account: Account | None = None,
    wal: Path | None = None,
    tools: Tools | None = None,
    tell: Told | None = None,
) -> Restored:
    """Restore the newest fitting backup; start a server on it to recover.

    What is backed up after a recovery to an earlier moment needs a folder of its own.

    Args:
        folder: the backups, and the log.
        to: the data folder to make.
        target: the moment; default: the end of the log.
        backup_id: begin with this backup.
        replace: the system identifier of the cluster in `to` that may make room.
        verified: verify the backup first.
        account: who is to own the files.
        wal: where the server finds the log; default: where it is kept.
        tools: PostgreSQL's programs; found if not given.
        tell: is told of progress.

    Raises:
        BackupError: `to` is in use, not empty or another cluster; the backup is
            damaged; the log does not lead to the moment. Nothing was changed.
    """
    tools = tools or find_tools()
    target = target or Target()
    to = to.absolute()
    previous = _require_room(tools, to, replace)
    backup = _begin(tools, folder, target, backup_id)
    chain = folder.chain(backup)
    tools.require_major(int(backup.version.partition(".")[0]))
    _require_log(tools, folder, backup, target)
    began = perf_counter()
    if verified:
        verify(folder, backup.id, tools=tools, tell=tell)
    verify_s = perf_counter() - began
    began = perf_counter()
    staged = to.with_name(f".restoring-{to.name}")
    if staged.exists():
        shutil.rmtree(staged)
    try:
        _put_together(tools, folder, chain, staged, tell)
        prepare_recovery(staged, wal or folder.wal, target)
        _hand_over(staged, account)
        flush(staged)
        if previous is not None:
            to.rename(previous)
        elif to.exists():
            to.rmdir()
        staged.rename(to)
    except OSError as exc:
        # What `copytree` gathers has no reason of its own.
        raise BackupError(f"{to} cannot be restored: {exc.strerror or exc}") from exc
    finally:
        if staged.exists():
            shutil.rmtree(staged)
    return Restored(backup, to, previous, verify_s, perf_counter() - began)


def _require_room(tools: Tools, to: Path, replace: str | None) -> Path | None:
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return None
    if not (to / "PG_VERSION").exists():
        raise BackupError(
            f"{to} is not empty and holds no cluster: name another folder"
        )
    pid = to / "postmaster.pid"
    if pid.exists() and identify(int(pid.read_text().partition("\n")[0])) is not None:
        raise BackupError(f"a server runs on {to}: stop it first, nothing was changed")
    said = tools.run("pg_controldata", ["-D", to])
    system = re.search(r"system identifier: +(\d+)", said)
    found = "unknown" if system is None else system[1]
    if replace != found:
        raise BackupError(
            f"{to} holds the cluster {found}, which would make room: if that is meant,"
            f" say --replace {found} (it is kept beside it)"
        )
    number = 1
    while (previous := to.with_name(f"{to.name}.before-{number}")).exists():
        number += 1
    return previous


def _begin(
    tools: Tools, folder: Folder, target: Target, backup_id: str | None
) -> Backup:
    """Return the backup that recovery begins with: named, or the newest that fits."""
    candidates = [folder.find(backup_id)] if backup_id else folder.backups()
    if target.name is None:
        return choose(candidates, target)
    later: int | None = None
    for backup in sorted(candidates, key=lambda each: each.end, reverse=True):
        log = _log(folder, backup)
        end = _reach(log, backup).end
        # What lies behind a later backup was looked through with that one.
        end = end if later is None else min(end, later)
        if holds_point(
            tools, log, target.name,
            start=backup.end, end=end, timeline=backup.timeline,
        ):  # fmt: skip
            return backup
        later = backup.end
    raise BackupError(
        f"no point named {target.name} stands in the log that was kept after"
        f" {'that backup' if backup_id else 'any backup'}"
    )


def _reach(log: Mapping[str, Path], backup: Backup) -> Reach:
    size = segment_size(log)
    return reach(segments(log, size), backup.end, backup.timeline, size)


def _log(folder: Folder, backup: Backup) -> dict[str, Path]:
    return kept_in(folder.data(backup.id) / "pg_wal", folder.wal)


def _require_log(tools: Tools, folder: Folder, backup: Backup, target: Target) -> None:
    log = _log(folder, backup)
    found = _reach(log, backup)
    last = None
    if target.time is not None or found.missing is not None:
        last = last_commit(tools, log, found, backup.end, segment_size(log))
    require_reachable(backup, target, found, last)


def _put_together(
    tools: Tools,
    folder: Folder,
    chain: Sequence[Backup],
    staged: Path,
    tell: Told | None,
) -> None:
    full, *others = chain
    if others:
        # A combination is written with checksums of its own making; the parts were
        # verified.
        tools.run(
            "pg_combinebackup",
            ["-o", staged, "--no-sync", *(folder.data(b.id) for b in chain)],
        )
        if tell is not None:
            tell("Restoring", 1, 1)
        return
    source, whole = folder.data(full.id), max(full.size_bytes, 1)
    done = 0

    def copy(one: str, other: str) -> str:
        nonlocal done
        try:
            shutil.copyfile(one, other)
        except OSError as exc:  # at once: `copytree` would go on with all the others
            raise BackupError(f"{staged} cannot be made: {exc.strerror}") from exc
        done += Path(other).stat().st_size
        if tell is not None:
            tell("Restoring", done, whole)
        return other

    shutil.copytree(source, staged, symlinks=True, copy_function=copy)


def _hand_over(data: Path, account: Account | None) -> None:
    data.chmod(0o700)
    if account is None or not account.switch:
        return
    for path in (data, *data.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
