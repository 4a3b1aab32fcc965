"""Rows that have to wait until a COPY has ended: one connection runs one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import IO

CHUNK_BYTES = 256 * 1024
_MEMORY_BYTES = 2 * 1024 * 1024


class Spool:
    """Encoded rows that wait for their turn: in memory first, then in a file."""

    def __init__(self) -> None:
        self._file: IO[bytes] = SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 # closed by __exit__
        self.rows = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def add(self, row: bytes) -> None:
        """Keep one row."""
        self._file.write(row)
        self.rows += 1

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while chunk := self._file.read(CHUNK_BYTES):
            yield chunk
