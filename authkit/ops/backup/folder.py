"""The folder that holds the backups of one cluster, and what it says of each.

    cluster.json            whose backups these are
    backups/ID/backup.json  one backup: when, from where to where, on top of which
    backups/ID/data/        its files, with PostgreSQL's manifest
    wal/                    the write-ahead log, as pg_receivewal writes it

A backup that is being made has another name until it is whole, so whatever is listed
was finished. One folder holds one history: a cluster that was restored to an earlier
moment has another one from there on, and needs another folder.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from authkit.errors import BackupError
from authkit.ops.backup.timelines import ENCODING, History, astray
from authkit.ops.backup.wal import kept_in, segment_size, segments

UNFINISHED = ".unfinished-"
_HISTORY = "[0-9A-F]" * 8 + ".history"


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup. Times are the server's; positions are bytes of the log.

    It can be restored to its `end` and to any later moment whose log is there; an
    incremental one needs its `parent`.
    """

    id: str
    parent: str | None
    system: str
    version: str
    timeline: int
    start: int
    end: int
    started: datetime
    finished: datetime
    size_bytes: int
    seconds: float

    @property
    def kind(self) -> str:
        """Full, or incremental."""
        return "full" if self.parent is None else "incremental"

    def save(self, folder: Path) -> None:
        """Write what is known of it beside its files: `backup.json` in its folder."""
        text = json.dumps(asdict(self), default=str, indent=2) + "\n"
        (folder / "backup.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read it back.

        Raises:
            BackupError: the file is not what `save` wrote.
        """
        try:
            said = json.loads((folder / "backup.json").read_text(encoding="utf-8"))
            for name in ("started", "finished"):
                said[name] = datetime.fromisoformat(said[name])
            return cls(**said)
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise BackupError(
                f"{folder / 'backup.json'} cannot be read: the backup was changed"
            ) from exc


class Folder:
    """A folder of backups."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def wal(self) -> Path:
        """Where the write-ahead log is kept."""
        return self.path / "wal"

    def of(self, backup_id: str) -> Path:
        """Return the folder of one backup, whether it is there or not."""
        return self.path / "backups" / backup_id

    def data(self, backup_id: str) -> Path:
        """Return where the files of one backup are: a server's data folder."""
        return self.of(backup_id) / "data"

    def claim(self, system: str, history: History) -> None:
        """Make the folder, or see that it is this cluster's, and of its history.

        Args:
            system: the system identifier of the cluster.
            history: its server's.

        Raises:
            BackupError: it holds the backups of another cluster, or what this one left
                behind when it was restored; or it cannot be written.
        """
        mark = self.path / "cluster.json"
        try:
            for folder in (self.path / "backups", self.wal):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not mark.exists():
                mark.write_text(json.dumps({"system": system}) + "\n", encoding="utf-8")
        except OSError as exc:
            raise BackupError(f"{self.path} cannot be written: {exc.strerror}") from exc
        held = self.system
        if held != system:
            raise BackupError(
                f"{self.path} holds backups of the cluster {held}, and this one is"
                f" {system}: use a folder of its own"
            )
        log = kept_in(self.wal)
        size = segment_size(log)
        stray = astray(
            history, self.backups(), segments(log, size), size, self._histories()
        )
        if stray is not None:
            raise BackupError(
                f"{self.path} holds {stray}, which is not in the history of the server:"
                " the cluster was restored to an earlier moment, or failed over past"
                " what is kept. Use a folder of its own; this one stays as it is, and"
                " can be restored from"
            )

    @property
    def system(self) -> str:
        """The system identifier of the cluster whose backups these are.

        Raises:
            BackupError: this is no folder of backups.
        """
        try:
            said = json.loads((self.path / "cluster.json").read_text(encoding="utf-8"))
            return str(said["system"])
        except FileNotFoundError:
            raise BackupError(
                f"{self.path} holds no backups: `authkit backup create` makes one"
            ) from None  # the path is in the sentence
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise BackupError(f"{self.path}/cluster.json cannot be read") from exc

    def backups(self) -> tuple[Backup, ...]:
        """Return every finished backup, the oldest first."""
        found: list[Backup] = []
        for folder in self._folders():
            if folder.name.startswith("."):
                continue
            try:
                found.append(Backup.load(folder))
            except BackupError:
                if folder.exists():  # or it was removed since it was listed
                    raise
        return tuple(sorted(found, key=lambda backup: backup.end))

    def find(self, backup_id: str | None = None) -> Backup:
        """Return a backup by its id, or the newest.

        Raises:
            BackupError: there is none, or none of this id.
        """
        known = self.backups()
        if backup_id is None and known:
            return known[-1]
        for backup in known:
            if backup.id == backup_id:
                return backup
        if backup_id is None:
            raise BackupError(
                f"{self.path} holds no finished backup: `authkit backup create`"
            )
        raise BackupError(f"there is no backup {backup_id} in {self.path}")

    def chain(self, backup: Backup) -> list[Backup]:
        """Return a backup and what it stands on, the full one first.

        Raises:
            BackupError: a parent is missing.
        """
        known = {each.id: each for each in self.backups()}
        chain = [backup]
        while (parent := chain[0].parent) is not None:
            if parent not in known:
                raise BackupError(
                    f"the backup {chain[0].id} stands on {parent}, which is missing:"
                    " restore an earlier one"
                )
            chain.insert(0, known[parent])
        return chain

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the folder: one makes or removes backups at a time.

        Raises:
            BackupError: somebody else does just now.
        """
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupError(
                    f"another backup is being made in {self.path}: wait for it"
                ) from None  # the error says no more
            yield

    def remove(self, backup: Backup) -> None:
        """Remove a backup: it ceases to be listed first, so none is ever half there.

        What an interruption leaves is `sweep`'s. Whether others build on it is asked of
        `retention` before.
        """
        gone = self.of(UNFINISHED + backup.id)
        self.of(backup.id).rename(gone)
        shutil.rmtree(gone)

    def sweep(self) -> int:
        """Remove what a backup that never finished has left; returns how many."""
        left = [f for f in self._folders() if f.name.startswith(UNFINISHED)]
        for folder in left:
            shutil.rmtree(folder)
        return len(left)

    def _histories(self) -> tuple[History, ...]:
        return tuple(
            History(int(path.stem, 16), path.read_text(ENCODING))
            for path in sorted(self.wal.glob(_HISTORY))
        )

    def _folders(self) -> tuple[Path, ...]:
        try:
            return tuple(sorted(p for p in (self.path / "backups").iterdir()))
        except FileNotFoundError:
            return ()
