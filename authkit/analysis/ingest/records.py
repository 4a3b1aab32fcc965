"""CSV and JSON Lines: records taken out of a file, read by a mapping."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

from authkit.analysis.ingest.event import BOM, TORN, Found, Item, Unreadable
from authkit.analysis.ingest.mapping import Mapping
from authkit.errors import InvalidInput

# A quotation mark that never closes would take the rest of the file for one record.
_RECORD_LINES = 200
_FIELD_CHARS = 1024 * 1024


class JsonRecords:
    """One JSON object a line."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping

    def read(self, lines: Iterable[bytes]) -> Iterator[Item]:
        """Yield an item for every line that is not blank; a bad one says what is wrong.

        Lines are bytes of UTF-8, numbered from 1; a byte order mark is no part of one.
        """
        for number, raw in enumerate(lines, start=1):
            content = raw.removeprefix(BOM) if number == 1 else raw
            content = content.strip()
            if content:
                yield Item(number, content, self._found(content))

    def _found(self, content: bytes) -> Found:
        try:
            told = json.loads(content.decode())
        except UnicodeDecodeError:
            return Unreadable("it is no UTF-8")
        except (ValueError, RecursionError):
            return Unreadable("it is no JSON")
        if not isinstance(told, dict):
            return Unreadable("it is no JSON object")
        record = cast("dict[str, Any]", told)
        return self._mapping.read(lambda name: _within(record, name))


def _within(record: dict[str, Any], name: str) -> object:
    """Look a field up: `a.b` goes into objects, `a:b` joins two fields."""
    if ":" in name:
        parts = [_within(record, part) for part in name.split(":")]
        return None if None in parts else ":".join(map(str, parts))
    found: object = record
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = cast("dict[str, object]", found).get(part)
    return None if isinstance(found, dict | list) else found


def _next(records: Iterator[list[str]]) -> list[str]:
    """Take a record, of long fields too; what others may read stays as it is."""
    before = csv.field_size_limit(_FIELD_CHARS)
    try:
        return next(records)
    finally:
        csv.field_size_limit(before)


class CsvRecords:
    """A CSV file (RFC 4180) whose first record names the fields."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping

    def read(self, lines: Iterable[bytes]) -> Iterator[Item]:
        """Yield an item for every record; one whose line has no end cannot be read.

        Raises:
            InvalidInput: the first record does not name what the mapping asks for.
        """
        source = _Lines(lines)
        records = csv.reader(source, strict=True)
        try:
            header = [name.strip() for name in _next(records)]
        except (StopIteration, csv.Error):
            return
        places = {name: place for place, name in enumerate(header)}
        wanted = {self._mapping.time, self._mapping.outcome}
        if missing := sorted(wanted - set(places)):
            raise InvalidInput(
                f"the first line names no {', '.join(missing)}: it has"
                f" {', '.join(header)[:200]}"
            )
        while True:
            source.begin()
            try:
                record = _next(records)
            except StopIteration:
                return
            except csv.Error:
                yield source.item(Unreadable("its quotation marks do not fit"))
                records = csv.reader(source, strict=True)
                continue
            if record:
                yield source.item(self._found(record, places, source))

    def _found(
        self, record: list[str], places: dict[str, int], source: _Lines
    ) -> Found:
        if source.torn:
            return TORN
        if source.broken:
            return Unreadable("it is no UTF-8")
        if len(record) != len(places):
            return Unreadable(f"it has {len(record)} fields, not {len(places)}")

        def get(name: str) -> str | None:
            place = places.get(name)
            return None if place is None else record[place]

        return self._mapping.read(get)


class _Lines:
    """Lines for the CSV reader, which remembers what one record was made of."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._number = 0
        self._taken: list[bytes] = []
        self.broken = False

    def begin(self) -> None:
        """A record begins."""
        self._taken, self.broken = [], False

    @property
    def torn(self) -> bool:
        """Whether the record that was taken last has no end."""
        return not self._taken[-1].endswith(b"\n")

    def item(self, found: Found) -> Item:
        """Return the record that was taken last."""
        content = b"".join(self._taken).rstrip(b"\r\n")
        return Item(self._number - len(self._taken) + 1, content, found)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self._taken) >= _RECORD_LINES:
            raise csv.Error("a record without an end")
        raw = next(self._lines)
        self._number += 1
        if self._number == 1:
            raw = raw.removeprefix(BOM)
        self._taken.append(raw)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.broken = True
            return raw.decode("utf-8", "replace")
