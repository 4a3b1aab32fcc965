"""Formats by name, and files as lines, packed or not."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from authkit.analysis.ingest.event import Reader
from authkit.analysis.ingest.mapping import SHIPPED, read_mapping
from authkit.analysis.ingest.openssh import OpenSSH
from authkit.analysis.ingest.records import CsvRecords, JsonRecords
from authkit.analysis.ingest.syslog import Clock, first_date
from authkit.errors import InvalidInput

FORMATS = ("openssh", "csv", "jsonl", *SHIPPED)
_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_LINE = 1024 * 1024
_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Opened:
    """A file as lines; `place` says how many of its `size` bytes were read."""

    lines: Iterator[bytes]
    size: int
    place: Callable[[], int]


@contextmanager
def opened(path: Path) -> Generator[Opened]:
    """Open a log, packed by gzip or not.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            size = path.stat().st_size
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            buffered = io.BufferedReader(stream, 1024 * 1024) if packed else stream
            yield Opened(_lines(buffered, path), size, raw.tell)
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror or exc}") from exc


def _lines(stream: io.BufferedIOBase, path: Path) -> Iterator[bytes]:
    try:
        line = stream.readline(_LONGEST_LINE)
        if line.startswith(_UTF_16):
            raise InvalidInput(
                f"{path} is UTF-16: write it as UTF-8 first, by"
                " `iconv -f UTF-16 -t UTF-8`"
            )
        while line:
            yield line
            line = stream.readline(_LONGEST_LINE)
    except EOFError as exc:
        raise InvalidInput(f"{path} is cut off: its packing has no end") from exc


def reader_of(
    name: str,
    path: Path,
    *,
    mapping: Path | None,
    year: int | None,
    zone: str,
    now: datetime,
) -> tuple[Reader, int | None]:
    """Return what reads a format, and the year that was taken from the file's time.

    Raises:
        InvalidInput: there is no such format, mapping or zone.
    """
    if name == "openssh":
        clock_zone, guessed = _zone(zone), None
        if year is None:
            year = guessed = _year_of(path, clock_zone)
        return OpenSSH(Clock(year or now.year, clock_zone, now=now)), guessed
    if name not in FORMATS:
        raise InvalidInput(f"{name} is no format: choose {', '.join(FORMATS)}")
    if name in SHIPPED:
        read = read_mapping(name)
    elif mapping is None:
        raise InvalidInput(f"{name} needs a mapping file: give one with --mapping")
    else:
        read = read_mapping(mapping)
        if read.form != name:
            raise InvalidInput(f"the mapping {mapping} is for {read.form}, not {name}")
    return (CsvRecords(read) if read.form == "csv" else JsonRecords(read)), None


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise InvalidInput(
            f"{name} is no time zone: write it like Europe/Berlin"
        ) from exc


def _year_of(path: Path, zone: tzinfo) -> int | None:
    """Return the year in which a log begins, if its last line is as old as its file.

    Both dates are of the log's zone: where a new day has begun, it has in the log too.
    """
    with opened(path) as log:
        for number, line in enumerate(log.lines):
            found = first_date(line.decode("utf-8", "replace"))
            if found is not None:
                ended = datetime.fromtimestamp(path.stat().st_mtime, zone)
                first = found <= (ended.month, ended.day)
                return ended.year if first else ended.year - 1
            if number > _LOOKED_AT:
                break
    return None
