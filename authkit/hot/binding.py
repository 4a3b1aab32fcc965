"""Parameters as PostgreSQL's types ask for them.

psycopg chooses a whole number's type by its value, so that one statement would be
prepared once for 7, again for 70,000 and again for 7 billion. The operation knows the
type: the number is wrapped in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from psycopg.types.json import Jsonb
from psycopg.types.numeric import Float8, Int2, Int4, Int8

from authkit.hot.operation import AnyOperation

Wrapper = Callable[[object], object]

_WRAPPERS: dict[str, Callable[..., object]] = {
    "int2": Int2,
    "int4": Int4,
    "int8": Int8,
    "float8": Float8,
    "jsonb": Jsonb,
}


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
