"""The file of what could not be read: line number, reason, and the line itself."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import IO

from authkit.analysis.ingest.event import Unreadable
from authkit.errors import InvalidInput


class Rejects:
    """JSON Lines, made with the first reject; only its owner may read it.

    Names and addresses stand in a log in clear, so they do here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: IO[str] | None = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: int, content: bytes, found: Unreadable) -> None:
        """Write one down.

        Raises:
            InvalidInput: the file cannot be written.
        """
        try:
            if self._file is None:
                descriptor = os.open(
                    self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
                )
                self._file = os.fdopen(descriptor, "w", encoding="utf-8")
                if stat.S_ISREG(os.fstat(descriptor).st_mode):  # not /dev/null
                    os.fchmod(descriptor, 0o600)  # one that was there keeps its mode
            told = {
                "line": line,
                "reason": found.reason,
                "text": content.decode("utf-8", "backslashreplace"),
            }
            self._file.write(json.dumps(told, ensure_ascii=False) + "\n")
        except OSError as exc:
            raise InvalidInput(f"cannot write {self.path}: {exc.strerror}") from exc
        self.count += 1
