"""Which backups may go, and which of the log with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from authkit.errors import InvalidInput
from authkit.ops.backup.folder import Backup, Folder
from authkit.ops.backup.wal import Segment, kept_in, segment_size, segments


@dataclass(frozen=True, slots=True)
class Removed:
    """What a retention removed."""

    backups: tuple[str, ...]
    segments: int


def surplus(backups: Sequence[Backup], keep: int) -> tuple[Backup, ...]:
    """Return the backups beyond the newest `keep` that no kept one stands on. Pure.

    What stands on another comes first, so that removal may stop anywhere.

    Raises:
        InvalidInput: fewer than one is to be kept.
    """
    if keep < 1:
        raise InvalidInput("at least one backup is kept")
    known = {backup.id: backup for backup in backups}
    newest = sorted(backups, key=lambda backup: backup.end)
    needed: set[str] = set()
    for backup in newest[-keep:]:
        link: Backup | None = backup
        while link is not None and link.id not in needed:
            needed.add(link.id)
            link = known.get(link.parent) if link.parent is not None else None
    return tuple(b for b in reversed(newest) if b.id not in needed)


def unneeded(
    found: Iterable[Segment], kept: Sequence[Backup], size: int
) -> tuple[Segment, ...]:
    """Return the segments of the log from before every kept backup. Pure."""
    if not kept:
        return ()
    first = min(backup.start for backup in kept) // size
    return tuple(segment for segment in found if segment.number < first)


def retain(folder: Folder, keep: int) -> Removed:
    """Remove what is beyond the newest `keep` backups, and the log before them.

    Raises:
        InvalidInput: fewer than one is to be kept.
        BackupError: a backup is being made just now.
    """
    with folder.locked():
        gone = surplus(folder.backups(), keep)
        for backup in gone:
            folder.remove(backup)
        log = kept_in(folder.wal)
        size = segment_size(log)
        old = unneeded(segments(log, size), folder.backups(), size)
        for segment in old:
            log[segment.name].unlink()
    return Removed(tuple(backup.id for backup in gone), len(old))
