"""Parameters as PostgreSQL's types ask for them.

psycopg chooses a whole number's type by its value, so that one statement would be
prepared once for 7, again for 70,000 and again for 7 billion. The operation knows the
type: the number is wrapped in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Final

from psycopg.adapt import AdaptersMap
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Float8, Int2, Int4, Int8

from authkit.hot.lengths import ExactDumper, ExactTextDumper
from authkit.hot.operation import AnyOperation

Wrapper = Callable[[object], object]

_WRAPPERS: dict[str, Callable[..., object]] = {
    "int2": Int2,
    "int4": Int4,
    "int8": Int8,
    "float8": Float8,
    "jsonb": Jsonb,
}
_LENGTHS: Final = frozenset({"interval", "interval[]"})


@cache
def _positions(types: tuple[str, ...]) -> tuple[tuple[int, Callable[..., object]], ...]:
    return tuple(
        (position, _WRAPPERS[name])
        for position, name in enumerate(types)
        if name in _WRAPPERS
    )


def bind(operation: AnyOperation, params: Sequence[object]) -> Sequence[object]:
    """Return the parameters with each number in its declared type; None stays None."""
    positions = _positions(operation.types)
    if not positions:
        return params
    bound = list(params)
    for position, wrap in positions:
        value = bound[position]
        if value is not None:
            bound[position] = wrap(value)
    return bound


def write_exactly(adapters: AdaptersMap, operation: AnyOperation) -> None:
    """Have a cursor of its own write lengths of time exactly.

    The cursor and not the connection: what else runs there is not ours to change.
    """
    if not _LENGTHS.isdisjoint(operation.types):
        adapters.register_dumper(timedelta, ExactTextDumper)
        # The last one is what a value alone is written by.
        adapters.register_dumper(timedelta, ExactDumper)
