"""The write-ahead log that was kept: how far it reaches, and until when."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from authkit.ops.backup.tools import Tools

_SEGMENT = re.compile(r"^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?$")
_COMMIT = re.compile(r"desc: COMMIT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (\S+)")
_UNFINISHED = ".partial"
DEFAULT_SEGMENT = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the log; `number` counts segments from the beginning."""

    name: str
    timeline: int
    number: int
    partial: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an unbroken log leads; `missing` names the segment that is not there.

    `missing` is None where the log simply ends.
    """

    end: int
    last: Segment | None
    missing: str | None


def kept_in(*folders: Path) -> dict[str, Path]:
    """Return where each file of the log lies, by its name; a later folder goes before.

    What a backup needs for itself lies in its own `pg_wal`, and may lie nowhere else:
    the log that is kept beside it begins where streaming began.
    """
    return {
        path.name: path
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if _SEGMENT.match(path.name)
    }


def segments(names: Iterable[str], size: int) -> tuple[Segment, ...]:
    """Return the segments among file names, in order."""
    per_file = (1 << 32) // size
    found = [
        Segment(
            name,
            int(match[1], 16),
            int(match[2], 16) * per_file + int(match[3], 16),
            match[4] is not None,
        )
        for name in names
        if (match := _SEGMENT.match(name))
    ]
    return tuple(sorted(found, key=lambda s: (s.number, s.timeline, not s.partial)))


def reach(found: Iterable[Segment], start: int, timeline: int, size: int) -> Reach:
    """Follow the log from a position as far as no segment is missing. Pure.

    Args:
        found: the segments that are kept.
        start: where the backup ends: what it needs itself is inside it.
        timeline: the backup's.
        size: bytes of a segment.
    """
    newest = {s.number: s for s in found if s.timeline >= timeline}
    number = start // size
    last: Segment | None = None
    while number in newest:
        last = newest[number]
        number += 1
    end = start if last is None else (last.number + 1) * size
    later = [n for n in newest if n > number]
    if not later:
        return Reach(end, last, None)
    per_file = (1 << 32) // size
    name = f"{timeline:08X}{number // per_file:08X}{number % per_file:08X}"
    return Reach(end, last, name)


def copy_segment(segment: Path, to: Path) -> None:
    """Copy a file of a log that is being received: a full one loses its `.partial`."""
    try:
        shutil.copyfile(segment, to)
    except FileNotFoundError:
        if segment.suffix != _UNFINISHED:
            raise
        shutil.copyfile(segment.with_suffix(""), to)


def segment_size(log: Mapping[str, Path]) -> int:
    """Return the size of the segments of a log: they are made in full."""
    for name in sorted(log):
        with suppress(FileNotFoundError):  # it has become a full one since
            if size := log[name].stat().st_size:
                return size
    return DEFAULT_SEGMENT


def last_commit(
    tools: Tools, log: Mapping[str, Path], found: Reach, start: int, size: int
) -> datetime | None:
    """Return the server's time of the last commit that a reach leads to.

    It may stand long before the end: what is not committed, or undone, is logged, too.

    Args:
        tools: PostgreSQL's programs.
        log: where its segments lie.
        found: how far it leads.
        start: where the backup ends: commits before are in it.
        size: bytes of a segment.
    """
    if found.last is None:
        return None
    kept = {s.number: s for s in segments(log, size)}
    for number in range(found.last.number, start // size - 1, -1):
        when = _last_commit_of(tools, log[kept[number].name])
        if when is not None:
            return when
    return None


def _last_commit_of(tools: Tools, segment: Path) -> datetime | None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / segment.name.removesuffix(_UNFINISHED)
        copy_segment(segment, path)
        found = _COMMIT.findall(_dumped(tools, "Transaction", path))
    if not found:
        return None
    stamp, _zone = found[-1]
    return datetime.fromisoformat(f"{stamp}+00:00")


def holds_point(
    tools: Tools,
    log: Mapping[str, Path],
    name: str,
    *,
    start: int,
    end: int,
    timeline: int,
) -> bool:
    """Tell whether a named point stands in the log between two positions.

    Args:
        tools: PostgreSQL's programs.
        log: where its segments lie, without a gap between the two.
        name: of the point.
        start: where a record begins.
        end: where the log ends, or what comes later does not matter.
        timeline: of the first segment.
    """
    if end <= start:
        return False
    size = segment_size(log)
    per_file = (1 << 32) // size
    with tempfile.TemporaryDirectory() as place:
        # A whole segment before a partial one, a newer timeline before an older.
        for kept in reversed(segments(log, size)):
            if start // size <= kept.number <= end // size:
                high, low = divmod(kept.number, per_file)
                # One timeline's name for all.
                link = Path(place) / f"{timeline:08X}{high:08X}{low:08X}"
                if link.is_symlink() or link.exists():
                    continue
                if kept.partial:  # full by and by, it would have another name
                    copy_segment(log[kept.name], link)
                else:
                    link.symlink_to(log[kept.name].absolute())
        said = _dumped(
            tools, "XLOG", f"--path={place}", f"--timeline={timeline}",
            f"--start={shown(start)}", f"--end={shown(end)}",
        )  # fmt: skip
    return any(
        line.endswith(f" desc: RESTORE_POINT {name}") for line in said.splitlines()
    )


def _dumped(tools: Tools, manager: str, *arguments: str | Path) -> str:
    # It ends with an error where the log ends within the segment: expected.
    return subprocess.run(
        [tools.programs.path("pg_waldump"), f"--rmgr={manager}", *arguments],
        env={"LC_ALL": "C", "TZ": "UTC", "PGTZ": "UTC"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    ).stdout


def position(text: str) -> int:
    """Return a position of the log (`16/B374D848`) as bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def shown(at: int) -> str:
    """Return a position as PostgreSQL writes it."""
    return f"{at >> 32:X}/{at & 0xFFFFFFFF:X}"
