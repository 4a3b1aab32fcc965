"""The history of a run: every write that the database acknowledged, and a checker.

A process that writes appends one line for each acknowledgement, after it came and
before it goes on; a load worker, which may be on another machine, gathers its lines and
sends them to the master. The checker reads the lines back and asks the database for
each one: what was acknowledged and is not there was lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString, Self, get_args
from uuid import UUID

from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from psycopg import Connection

Kind = Literal["session", "revoked", "attempt"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_CHUNK: Final = 5_000

# Which of the ids are there, as they were acknowledged.
_THERE: Final[Mapping[Kind, LiteralString]] = {
    "session": "SELECT id FROM authkit.active_sessions WHERE id = ANY(%s)",
    "revoked": """SELECT id FROM authkit.active_sessions
                  WHERE id = ANY(%s) AND revoked_at IS NOT NULL""",
    "attempt": "SELECT id FROM authkit.auth_attempts WHERE id = ANY(%s)",
}


@dataclass(frozen=True, slots=True)
class Write:
    """One acknowledged write: when, in wall-clock seconds, and the id of its row."""

    at_s: float
    kind: Kind
    row_id: UUID


class History:
    """Appends acknowledged writes to a file; several processes may share one file.

    A line goes out in one `write` to a file opened for appending, so it is whole even
    when the process is killed after it, and lines of several processes do not mix.

    Args:
        path: the file; made if it is not there, for its owner alone.
        anew: a run begins: what an earlier one left in the file goes. Only one of
            several processes may ask for that, and before the others begin.

    Raises:
        InvalidInput: the file cannot be written.
    """

    def __init__(self, path: Path, *, anew: bool = False) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags | (os.O_TRUNC if anew else 0), 0o600)
        except OSError as exc:
            raise InvalidInput(f"cannot write {path}: {exc.strerror}") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def acknowledge(self, kind: Kind, row_id: UUID, at_s: float) -> None:
        """Note that a write was acknowledged, before anything else is done."""
        self.append(_line(kind, row_id, at_s))

    def append(self, lines: str) -> None:
        """Add whole lines, as another process gathered them."""
        os.write(self._file, lines.encode("ascii"))

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def temporary() -> Path:
    """Make an empty file for the history of a run, and return where it is."""
    handle, path = mkstemp(prefix="authkit-history-")
    os.close(handle)
    return Path(path)


class Gathered:
    """Keeps acknowledged writes until they are sent to the process with the file."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def acknowledge(self, kind: Kind, row_id: UUID, at_s: float) -> None:
        """Note that a write was acknowledged, before anything else is done."""
        self._lines.append(_line(kind, row_id, at_s))

    def drain(self) -> str:
        """Hand over the lines since the last time."""
        lines, self._lines = self._lines, []
        return "".join(lines)

    def close(self) -> None:
        """Do nothing: there is no file."""


def _line(kind: Kind, row_id: UUID, at_s: float) -> str:
    return f"{at_s:.6f} {kind} {row_id}\n"


def read(path: Path) -> tuple[Write, ...]:
    """Return the writes of a history file in the order of their acknowledgement.

    A last line without its end is of a process that died in the middle of it.

    Raises:
        InvalidInput: the file is missing or is not a history.
    """
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"{path} is not a readable history") from exc
    whole = text[: text.rfind("\n") + 1]
    return tuple(sorted(map(_parsed, whole.splitlines()), key=lambda w: w.at_s))


def _parsed(line: str) -> Write:
    at, kind, row_id = (*line.split(" "), "", "")[:3]
    if kind not in KINDS:
        raise InvalidInput("a line of the history is of no known kind")
    try:
        return Write(float(at), kind, UUID(row_id))
    except ValueError as exc:
        raise InvalidInput("a line of the history is not one write") from exc


def lost(writes: Iterable[Write], connection: Connection[Any]) -> tuple[Write, ...]:
    """Return the acknowledged writes that the database does not have.

    Args:
        writes: what was acknowledged.
        connection: to the node that is asked, in autocommit.
    """
    by_kind: dict[Kind, dict[UUID, Write]] = {kind: {} for kind in KINDS}
    for write in writes:
        by_kind[write.kind][write.row_id] = write
    missing: list[Write] = []
    for kind, expected in by_kind.items():
        there: set[UUID] = set()
        for chunk in _chunks(list(expected)):
            rows = connection.execute(_THERE[kind], (chunk,)).fetchall()
            there.update(row[0] for row in rows)
        missing.extend(w for row_id, w in expected.items() if row_id not in there)
    return tuple(sorted(missing, key=lambda write: write.at_s))


def _chunks(ids: Sequence[UUID]) -> Iterable[list[UUID]]:
    for start in range(0, len(ids), _CHUNK):
        yield list(ids[start : start + _CHUNK])


def outage(
    writes: Sequence[Write], fault: tuple[float, float]
) -> tuple[float, float] | None:
    """Return the longest time without an acknowledgement that a fault caused.

    That is the longest gap between two neighbouring acknowledgements among those that
    end after the fault began and start before it was answered; the two moments are
    returned. None when there is no write before the fault or none after it: nothing
    was seen to come back.

    Args:
        writes: ordered by time.
        fault: when it began (the kill), and when it was answered (the promotion).
    """
    began, answered = fault
    moments = [write.at_s for write in writes]
    if not moments or moments[0] > began or moments[-1] < answered:
        return None
    return max(
        (
            (before, after)
            for before, after in pairwise(moments)
            if after > began and before < answered
        ),
        key=lambda gap: gap[1] - gap[0],
        default=None,
    )
