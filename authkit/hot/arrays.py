"""Arrays of one dimension, in PostgreSQL's binary format.

psycopg writes lists of any shape, element by element and in Python. The columns of a
batch are mostly all NULL, all the same or all of one length, and joined as such.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, TypeAlias, cast

from psycopg.abc import Buffer

Dump: TypeAlias = Callable[[Any], "Buffer | None"]

# Dimensions, whether there are NULLs, the element's type; the length, the first index
# (PostgreSQL's src/backend/utils/adt/arrayfuncs.c, array_recv).
_HEAD: Final = Struct("!iiIii").pack
_EMPTY: Final = Struct("!iiI").pack
_LENGTH: Final = Struct("!i").pack
_NULL: Final = _LENGTH(-1)
# Equal values of these are written alike; 0.0 and -0.0 are not.
_ALIKE: Final = frozenset({"text", "interval"})


def writer(element: str, oid: int, dump: Dump) -> Dump:
    """Return what writes a list of elements, None among them, as an array.

    Args:
        element: the name of their type.
        oid: of it.
        dump: writes one that is not None.
    """
    alike = element in _ALIKE

    def written(values: object) -> Buffer:
        if not isinstance(values, list):
            raise TypeError(f"{element}[] is not written from {type(values).__name__}")
        elements = cast("list[Any]", values)
        size = len(elements)
        if not size:
            return _EMPTY(0, 0, oid)
        missing = elements.count(None)
        head = _HEAD(1, missing > 0, oid, size, 1)
        if missing == size:
            return head + _NULL * size
        if missing:
            return head + b"".join([_one(dump, value) for value in elements])
        if alike and elements.count(elements[0]) == size:
            return head + _one(dump, elements[0]) * size
        parts = [cast("Buffer", dump(value)) for value in elements]
        lengths = set(map(len, parts))
        if len(lengths) == 1:
            length = _LENGTH(lengths.pop())
            return b"".join((head, length, length.join(parts)))
        return head + b"".join(
            [piece for part in parts for piece in (_LENGTH(len(part)), part)]
        )

    return written


def _one(dump: Dump, value: object) -> bytes:
    part = None if value is None else dump(value)
    return _NULL if part is None else _LENGTH(len(part)) + bytes(part)
