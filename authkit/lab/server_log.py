"""What a server's log says of its start: why it failed, how far recovery has come."""

from __future__ import annotations

import re
from pathlib import Path

_CAUSE = re.compile(r"(?:LOG|FATAL|PANIC):  .*\b(?:could not|unrecognized|invalid)\b")


def complaint(log: Path, offset: int) -> str:
    """Return the last complaint after `offset` bytes, and the cause it names."""
    lines = _lines(log, offset)
    # The last word is often general; the line before it names the cause.
    causes = [line for line in lines if _CAUSE.search(line)]
    chosen = [*causes[-1:], *[line for line in lines if "FATAL" in line][-1:]]
    words = [re.split(r"(?:LOG|FATAL|PANIC):  ", line)[-1] for line in chosen]
    return "; ".join(dict.fromkeys(words)) or "its log says nothing"


def steps(log: Path, offset: int) -> int:
    """Count the steps of recovery told of after `offset` bytes.

    PostgreSQL 15 and later tells of one every `log_startup_progress_interval`: files
    synced after a crash, log replayed.
    """
    return sum("elapsed time: " in line for line in _lines(log, offset))


def _lines(log: Path, offset: int) -> list[str]:
    with log.open("rb") as stream:
        stream.seek(offset)
        return stream.read().decode(errors="replace").splitlines()
