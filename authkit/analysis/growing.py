"""Columns that grow batch by batch, each value in memory once and of the frame's own.

A batch of the driver's is one piece of memory, let go with the last of its columns (the
release callback of Arrow's C data interface): what pandas copies or widens would stay
there too for as long as one text is used. Copied batch by batch, a value is in memory
twice for no longer than its batch, whose memory the next one takes.

Numbers and times grow in place (`realloc` moves pages, not bytes), and so can be
written to, which what Arrow lends without copying cannot. Where all texts of a batch
are equally long, as ids, digests and codes of countries are, the pieces share one ruler
of where each begins, instead of eight bytes for every value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from authkit.analysis.arrow import PLAIN, finite, pa, special_of
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

# The driver takes its memory from malloc: what a batch gives back, the next copy takes.
_POOL: Any = pa.system_memory_pool()
# Batches are of about so many rows: a few rulers serve all.
_RULED_ROWS = 1024
# Room is made for so many values at most; the last step is cut to what came.
_STEP = 65_536
_WHOLE: dict[Any, str] = {
    pa.int16(): "int16",
    pa.int32(): "int32",
    pa.int64(): "int64",
}
_FLOATS: dict[Any, str] = {pa.float32(): "float32", pa.float64(): "float64"}
# What the driver passes on as whole numbers: without the point of their currency, with
# the sign that they have not; and what tells them truly.
_UNTRUE = {b"money": "::numeric", b"_money": "::numeric[]", b"_oid": "::bigint[]"}
_TIMES = {
    pa.timestamp("us"): None,
    pa.timestamp("us", "UTC"): pd.DatetimeTZDtype("us", "UTC"),
}


class Growing:
    """A frame that is still being read.

    Args:
        schema: of the batches that will come.

    Raises:
        InvalidInput: two columns have one name, or one is money.
    """

    def __init__(self, schema: Any) -> None:
        names: list[str] = schema.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidInput(
                f"two columns are called {', '.join(twice)}: name them apart with AS"
            )
        self._columns = {field.name: _column(field) for field in schema}
        self.rows = 0

    def add(self, batch: Any) -> None:
        """Take the rows of a `pyarrow.RecordBatch`; nothing of it is held after.

        Raises:
            InvalidInput: a time is infinite, which pandas has no value for.
        """
        finite(batch)
        for column, part in zip(self._columns.values(), batch.columns, strict=True):
            column.add(part)
        self.rows += batch.num_rows

    def frame(self) -> DataFrame:
        """Return the frame; what grew is let go column by column."""
        made: dict[str, Any] = {}
        for name in list(self._columns):
            made[name] = self._columns.pop(name).made()
        # copy=False: numbers of one type are not laid together once more.
        return pd.DataFrame(made, index=pd.RangeIndex(self.rows), copy=False)


def grown(table: Any) -> DataFrame:
    """Return a `pyarrow.Table` as a frame.

    Raises:
        InvalidInput: two columns have one name, or a time is infinite.
    """
    growing = Growing(table.schema)
    for batch in table.to_batches():
        growing.add(batch)
    return growing.frame()


class _Column(Protocol):
    def add(self, part: Any) -> None: ...
    def made(self) -> Any: ...


def _column(field: Any) -> _Column:
    kind = field.type
    told: dict[bytes, bytes] = field.metadata or {}
    theirs = told.get(b"POSTGRESQL:type", b"")
    if theirs in _UNTRUE:
        raise InvalidInput(
            f"{field.name} is of type {theirs.decode().removeprefix('_')}, whose values"
            f" come as other numbers: select {field.name}{_UNTRUE[theirs]}"
        )
    if theirs == b"oid":
        return _Oids("int64")
    if kind in _FLOATS:
        return _Numbers(_FLOATS[kind])
    if kind in _TIMES:
        return _Times(_TIMES[kind])
    if kind in _WHOLE:
        return _Whole(_WHOLE[kind])
    if kind == pa.string():
        return _Texts()
    return _Others(kind)


class _Numbers:
    """Numbers, an unknown one NaN."""

    def __init__(self, kind: str) -> None:
        self._values: NDArray[Any] = np.empty(0, kind)
        self._count = 0

    def add(self, part: Any) -> None:
        before, self._count = self._count, self._count + len(part)
        if self._count > len(self._values):
            room = self._count + min(before, _STEP)
            self._values.resize(room, refcheck=False)  # nobody else has a view of them
        there = part.to_numpy(zero_copy_only=False)
        self._values[before : self._count] = there

    def made(self) -> Any:
        self._values.resize(self._count, refcheck=False)
        return self._values


class _Times(_Numbers):
    """Moments, an unknown one NaT."""

    def __init__(self, zoned: pd.DatetimeTZDtype | None) -> None:
        super().__init__("datetime64[us]")
        self._zoned = zoned

    def made(self) -> Any:
        times = super().made()
        if self._zoned is None:
            return times
        return pd.array(times.view("int64"), dtype=self._zoned, copy=False)


class _Whole:
    """Whole numbers, an unknown one NA."""

    def __init__(self, kind: str) -> None:
        self._values, self._missing = _Numbers(kind), _Numbers("bool")

    def add(self, part: Any) -> None:
        self._values.add(part.fill_null(0) if part.null_count else part)
        self._missing.add(part.is_null())

    def made(self) -> Any:
        return pd.arrays.IntegerArray(self._values.made(), self._missing.made())


class _Oids(_Whole):
    """Object identifiers: 32 bits without a sign, which the driver reads with one."""

    def add(self, part: Any) -> None:
        super().add(part.view(pa.uint32()).cast(pa.int64()))


class _Others:
    """Whatever else: pieces, made into a column when all are there."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._parts: list[Any] = []

    def add(self, part: Any) -> None:
        self._parts.append(pa.concat_arrays([part], memory_pool=_POOL))

    def made(self) -> Any:
        whole = pa.chunked_array(self._parts, type=self._kind)
        self._parts = []
        if (convert := special_of(self._kind)) is not None:
            return convert(whole)
        return whole.to_pandas(types_mapper=PLAIN.get, date_as_object=False)


class _Texts(_Others):
    """Texts, as pandas keeps them: 64 bits say where each begins."""

    def __init__(self) -> None:
        super().__init__(pa.large_string())
        self._rulers: dict[int, NDArray[np.int64]] = {}

    def add(self, part: Any) -> None:
        size = len(part)
        if not part.null_count and size:
            _, begins, letters = part.buffers()
            at = np.frombuffer(begins, np.int32, size + 1, part.offset * 4)
            width = int(at[1] - at[0])
            if at[-1] - at[0] == width * size and (np.diff(at) == width).all():
                own = pa.allocate_buffer(width * size, memory_pool=_POOL)
                if width:
                    there = np.frombuffer(letters, np.uint8, width * size, int(at[0]))
                    np.frombuffer(own, np.uint8)[:] = there
                ruler = pa.py_buffer(self._ruler(width, size))
                self._parts.append(
                    pa.Array.from_buffers(self._kind, size, [None, ruler, own])
                )
                return
        super().add(part.cast(self._kind, memory_pool=_POOL))

    def _ruler(self, width: int, size: int) -> NDArray[np.int64]:
        found = self._rulers.get(width)
        if found is None or len(found) <= size:
            marks = size + _RULED_ROWS - size % _RULED_ROWS + 1
            found = self._rulers[width] = np.arange(marks, dtype=np.int64) * width
        return found
