"""Whether an audit entry's columns say what its hashed bytes say. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import cast

from authkit.errors import InvalidInput
from authkit.relational.canonical import MAX_SAFE_INTEGER, canonical

COLUMNS = (
    "actor",
    "action",
    "target",
    "outcome",
    "before",
    "after",
    "details",
    "ip",
    "user_agent",
    "correlation_id",
    "occurred_at",
)
# From here on there is no double that is nearest.
_NO_DOUBLE = 2**1024 - 2**970


def unfaithful_column(stored: bytes, columns: Mapping[str, object]) -> str | None:
    """Name a column that does not say what the stored bytes say, or None.

    The hash covers the bytes; people and queries read the columns.
    """
    if not columns:
        return None
    try:
        event: object = json.loads(stored)
    except ValueError:
        return "canonical"
    if not isinstance(event, dict):
        return "canonical"
    said = cast("dict[str, object]", event)
    for name in COLUMNS:
        expected = said.get(name)
        if name == "details" and expected is None:
            expected = cast("dict[str, object]", {})
        if not _same(name, expected, columns.get(name)):
            return name
    return None


def _same(name: str, said: object, stored: object) -> bool:
    if said is None or stored is None:
        return said is stored
    if name == "occurred_at":
        return isinstance(stored, datetime) and _instant(said) == stored
    if name == "ip":
        return str(stored) == said
    if isinstance(said, dict):
        return _same_object(cast("object", said), stored)
    return stored == said


def _same_object(said: object, stored: object) -> bool:
    # Not ==, to which 1, 1.0 and true are the same.
    try:
        return canonical(_doubles(said)) == canonical(_doubles(stored))
    except (InvalidInput, RecursionError):
        return False


def _doubles(value: object) -> object:
    """Return a read value with its large numbers as the doubles that they were said as.

    1e16 is said in all its digits, in jsonb 1e21 is, too, and both are read as integers
    then. An integer whose digits no double is written in was never said.
    """
    match value:
        case dict():
            named = cast("dict[str, object]", value)
            return {name: _doubles(inner) for name, inner in named.items()}
        case list():
            return [_doubles(inner) for inner in cast("list[object]", value)]
        case int() if MAX_SAFE_INTEGER < abs(value) < _NO_DOUBLE:
            double = float(value)
            return double if Decimal(repr(double)) == value else value
        case _:
            return value


def _instant(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
