"""The highest timeline seen, in a small file that outlives the process.

A client that starts beside a primary which a failover has left behind, and that cannot
reach the new one, has no other way to know: it would write to the old timeline. What no
client can know is a promotion that none of its processes ever saw: there only
synchronous replication, or the HA engine that stops the old primary, fences it.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from authkit.errors import ConfigError
from authkit.settings import Settings


@dataclass(frozen=True, slots=True)
class Epoch:
    """The highest timeline seen of one system; 0 before any was."""

    system_id: str = ""
    timeline: int = 0


@dataclass(frozen=True, slots=True)
class EpochFile:
    """One cluster's file, shared by all processes that name it."""

    path: Path

    def load(self) -> Epoch:
        """Return what it says; nothing seen yet where it is absent or empty.

        Raises:
            ConfigError: it cannot be read, or is no such file.
        """
        try:
            return _parse(self.path.read_bytes())
        except FileNotFoundError:
            return Epoch()
        except (OSError, ValueError) as exc:
            raise ConfigError([self._unusable(exc)]) from exc

    def keep(self, seen: Epoch) -> None:
        """Remember a timeline, unless a later one of the same system is there.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            opened = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(opened, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                known = _parse(file.read())
                if (
                    known.system_id == seen.system_id
                    and known.timeline >= seen.timeline
                ):
                    return
                line = json.dumps(
                    {"system_id": seen.system_id, "timeline": seen.timeline}
                )
                # In place, for the lock is on this very file. Only the first line
                # counts: a kill before the truncation leaves the rest of another.
                file.seek(0)
                file.write(line.encode() + b"\n")
                file.truncate()
        except (OSError, ValueError) as exc:
            raise ConfigError([self._unusable(exc)]) from exc

    def _unusable(self, exc: Exception) -> str:
        why = exc.strerror if isinstance(exc, OSError) else "its content is damaged"
        return (
            f"AUTHKIT_EPOCH_FILE {self.path}: {why}; remove it only when no former"
            " primary can be reached any more"
        )


def epoch_file(settings: Settings) -> EpochFile | None:
    """Return the file that the settings name, if they name one."""
    path = settings.authkit_epoch_file
    return None if path is None else EpochFile(path.expanduser())


def _parse(content: bytes) -> Epoch:
    """Read the file's content.

    Raises:
        ValueError: it is no such file's.
    """
    lines = content.splitlines()
    if not lines:
        return Epoch()
    match json.loads(lines[0]):
        case {"system_id": str(system_id), "timeline": int(timeline)}:
            return Epoch(system_id, timeline)
        case _:
            raise ValueError("not an epoch")
