"""Which backup leads to a moment, and whether the log goes that far. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from authkit.errors import BackupError, InvalidInput
from authkit.ops.backup.folder import Backup
from authkit.ops.backup.wal import Reach, shown


@dataclass(frozen=True, slots=True)
class Target:
    """The moment to recover to: one of them, or none for the end of the log."""

    time: datetime | None = None
    lsn: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse two moments, and a time of no zone."""
        given = [x for x in (self.time, self.lsn, self.name) if x is not None]
        if len(given) > 1:
            raise InvalidInput("name one moment: a time, a position or a point")
        if self.time is not None and self.time.tzinfo is None:
            raise InvalidInput("the time needs a zone, as in 2026-03-01T12:00:00+00:00")

    def settings(self) -> dict[str, str]:
        """Return the server's settings that stop recovery there."""
        if self.time is not None:
            return {"recovery_target_time": self.time.isoformat(sep=" ")}
        if self.lsn is not None:
            return {"recovery_target_lsn": shown(self.lsn)}
        if self.name is not None:
            return {"recovery_target_name": self.name}
        return {}


def choose(backups: Sequence[Backup], target: Target) -> Backup:
    """Return the newest backup that is complete before the moment.

    Raises:
        BackupError: there is none; the message says where recovery can begin.
    """
    if not backups:
        raise BackupError("there is no finished backup to restore")
    fit = [
        backup
        for backup in backups
        if (target.time is None or backup.finished <= target.time)
        and (target.lsn is None or backup.end <= target.lsn)
    ]
    if fit:
        return max(fit, key=lambda backup: backup.end)
    first = min(backups, key=lambda backup: backup.end)
    raise BackupError(
        "no backup was complete at that moment: the earliest that can be restored is"
        f" {first.finished.isoformat()} ({shown(first.end)})"
    )


def require_reachable(
    backup: Backup, target: Target, reach: Reach, last: datetime | None
) -> None:
    """Refuse a moment to which the log does not lead; say to which it does.

    Args:
        backup: what recovery begins with.
        target: the moment.
        reach: how far the log leads without a gap.
        last: the time of the last commit in it; None where there is none after the
            backup.

    Raises:
        BackupError: with the last moment that can be reached.
    """
    until = max(last, backup.finished) if last is not None else backup.finished
    can = f"it can be restored up to {until.isoformat()} ({shown(reach.end)})"
    why = (
        f"the segment {reach.missing} of the log is missing"
        if reach.missing is not None
        else "the log that was kept ends before that moment"
    )
    too_far = (target.time is not None and target.time > until) or (
        target.lsn is not None and target.lsn > reach.end
    )
    if too_far:
        raise BackupError(f"{why}: {can}")
    if reach.missing is not None and not target.settings():
        raise BackupError(f"{why}: {can}; name that moment if it will do")
