"""Arrow tables to pandas 3: zones kept, whole numbers whole, every type usable.

What PostgreSQL has and Arrow has not comes as an extension type: `uuid`, `inet` and
`cidr` become text, `jsonb` Python values, `numeric` floats, `interval` a timedelta. The
type of a column never depends on the rows that happened to come.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pandas as pd

from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import Series

# pyarrow has no type stubs: it is `Any` here, and nowhere else.
pa: Any = import_module("pyarrow")
pc: Any = import_module("pyarrow.compute")

_TEXT = pd.StringDtype(na_value=np.nan)
_V4_BYTES = 4
# The first day of PostgreSQL's calendar (datatype/timestamp.h), a Julian day 0.
_FIRST_DAY = -2_440_588
_DAY_US = 86_400_000_000
_CLOCK = pa.time64("us").id
_FIRST = {
    pa.date32().id: _FIRST_DAY,
    pa.timestamp("us").id: _FIRST_DAY * _DAY_US,
}


def finite(batch: Any) -> Any:
    """Return a batch, which has no infinite time, and no day of 24:00.

    PostgreSQL's `infinity` and `-infinity` are the ends of its counters, since 2000;
    the driver counts on from 1970, past the end, and so both come as days that no
    calendar of PostgreSQL's has: it begins in 4714 BC.

    Raises:
        InvalidInput: it has one, which pandas has no value for.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if len(column) == column.null_count:
            continue
        if (
            column.type.id == _CLOCK
            and pc.max(column.view(pa.int64())).as_py() >= _DAY_US
        ):
            raise InvalidInput(
                f"{name} holds '24:00', which Python's times end before: select"
                f" {name}::text"
            )
        first = _FIRST.get(column.type.id)
        if first is None:
            continue
        wide = pa.int32() if first == _FIRST_DAY else pa.int64()
        if pc.min(column.view(wide)).as_py() < first:
            raise InvalidInput(
                f"{name} holds 'infinity', which a frame's times cannot be: select"
                f" nullif({name}, 'infinity'), or {name}::text, or other columns"
            )
    return batch


def tables(stream: Iterable[Any], rows: int) -> Iterator[Any]:
    """Cut a schema and its batches into tables of `rows` rows; one at least.

    Raises:
        InvalidInput: of fewer than one row.
    """
    if rows < 1:
        raise InvalidInput("rows, of each frame, must be positive")
    batches = iter(stream)
    rest: Any = pa.Table.from_batches([], schema=next(batches))
    made = 0
    for batch in batches:
        rest = pa.concat_tables([rest, pa.Table.from_batches([batch])])
        while rest.num_rows >= rows:
            yield rest.slice(0, rows)
            rest, made = rest.slice(rows), made + 1
    if rest.num_rows or not made:
        yield rest


def storable(table: Any) -> Any:
    """Return a table with no type that other readers of Parquet would not know."""
    columns: list[Any] = []
    for column in table.columns:
        kind = column.type
        name = getattr(kind, "extension_name", None)
        if name in {"arrow.json", "arrow.opaque"}:
            columns.append(column.cast(kind.storage_type))
        else:
            columns.append(column)
    return pa.table(columns, names=list(table.column_names))


# What pandas is to make of the others.
PLAIN: dict[Any, Any] = {
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): _TEXT,
    pa.large_string(): _TEXT,
}


def special_of(kind: Any) -> Callable[[Any], Series[Any]] | None:
    """Return what makes a column of a type that Arrow has no plain one for."""
    name = getattr(kind, "extension_name", None)
    if name == "arrow.uuid":
        return lambda column: _texts(_uuid(raw) for raw in _storage(column))
    if name == "arrow.json":
        return lambda column: _objects(_json(raw) for raw in _storage(column))
    if name == "arrow.opaque":
        if kind.type_name in {"inet", "cidr"}:
            return lambda column: _texts(_inet(raw) for raw in _storage(column))
        if kind.type_name == "numeric":
            return _numeric
        return lambda column: _objects(_storage(column))
    if pa.types.is_interval(kind):
        return _intervals
    if pa.types.is_nested(kind):
        return lambda column: _objects(_nested(column))
    return None


def _nested(column: Any) -> list[object]:
    try:
        return column.to_pylist()
    except OverflowError:
        raise InvalidInput(
            "a list holds a time that Python has no value for, like 'infinity': select"
            " it as ::text"
        ) from None


def _storage(column: Any) -> list[Any]:
    chunks: list[Any] = [chunk.storage for chunk in column.chunks]
    return pa.chunked_array(chunks, type=column.type.storage_type).to_pylist()


def _texts(values: Iterable[str | None]) -> Series[Any]:
    return pd.Series(list(values), dtype=_TEXT)


def _objects(values: Iterable[object]) -> Series[Any]:
    listed = list(values)
    made = np.empty(len(listed), dtype=object)
    for position, value in enumerate(listed):  # a list is one value, not a column
        made[position] = value
    return pd.Series(made)


def _numeric(column: Any) -> Series[Any]:
    texts = _storage(column)
    return pd.Series(
        [np.nan if text is None else float(text) for text in texts], dtype="float64"
    )


def _uuid(raw: bytes | None) -> str | None:
    return None if raw is None else str(UUID(bytes=raw))


def _json(raw: str | None) -> object:
    return None if raw is None else json.loads(raw)


@lru_cache(maxsize=65_536)
def _inet(raw: bytes | None) -> str | None:
    # network.c, inet_send: family, prefix length, is it a cidr, length, address.
    if raw is None:
        return None
    bits, is_cidr, size = raw[1], raw[2], raw[3]
    address = ip_address(raw[4 : 4 + size])
    whole = 32 if size == _V4_BYTES else 128
    return f"{address}/{bits}" if is_cidr or bits != whole else str(address)


def _intervals(column: Any) -> Series[Any]:
    try:
        values = [_timedelta(value) for value in column.to_pylist()]
    except OverflowError:
        raise InvalidInput(
            "an interval is longer than a frame can hold: select it as ::text"
        ) from None
    return pd.Series(np.array(values, dtype="timedelta64[us]"))


def _timedelta(value: Any) -> np.timedelta64:
    if value is None:
        return np.timedelta64("NaT", "us")
    months, days, nanoseconds = value
    # A month has no length; PostgreSQL's own epoch of an interval takes 30 days.
    whole = (months * 30 + days) * _DAY_US
    return np.timedelta64(whole + nanoseconds // 1000, "us")
