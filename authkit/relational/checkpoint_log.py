"""The file that checkpoints are kept in: one signed line each, only ever added to."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from authkit.crypto.signing import SigningKey, VerifyKey
from authkit.errors import InvalidInput
from authkit.relational.checkpoint import Checkpoint, read, read_all, setback, sign

_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class CheckpointLog:
    """A file of checkpoints and the key that signs them.

    Any number of processes may add to one file; each line is on the disk before `add`
    returns.
    """

    path: Path
    key: SigningKey

    def add(
        self, observe: Callable[[Checkpoint | None], Checkpoint]
    ) -> Checkpoint | str:
        """Observe the trail and add what was seen; or say why it cannot be.

        A trail that has become shorter is not signed: what it says is the finding.

        Args:
            observe: e.g. `uow.audit.checkpoint`; it is given the line before.

        Raises:
            InvalidInput: the file cannot be used, or its last line is not this key's.
        """
        try:
            with self.path.open("a+b") as file:
                # Held until the file is closed: the next line follows this one.
                fcntl.flock(file, fcntl.LOCK_EX)
                line = _last_line(file)
                before = None if line is None else read(line, self.key.public)
                seen = observe(before)
                fault = None if before is None else setback(before, seen)
                if fault is not None:
                    return fault
                file.write(sign(seen, self.key).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise InvalidInput(f"cannot write {self.path}: {exc.strerror}") from exc
        return seen


def read_file(path: Path, key: VerifyKey) -> tuple[Checkpoint, ...]:
    """Read a file of checkpoints, every line of it checked.

    Raises:
        InvalidInput: the file cannot be read, or saying which line is at fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"cannot read the checkpoints of {path}") from exc
    # What comes after the last line's end was never acknowledged.
    return read_all(text.split("\n")[:-1], key)


def _last_line(file: BinaryIO) -> str | None:
    """Return the last whole line, and cut off what a crash left after it."""
    end = file.seek(0, os.SEEK_END)
    tail, start = b"", end
    while start > 0 and tail.count(b"\n") < 2:
        start = max(0, start - _BLOCK)
        file.seek(start)
        tail = file.read(end - start)
    whole = tail.rfind(b"\n") + 1
    file.truncate(start + whole)
    if whole == 0:
        return None
    return tail[:whole].rstrip(b"\n").rpartition(b"\n")[2].decode("utf-8", "replace")
