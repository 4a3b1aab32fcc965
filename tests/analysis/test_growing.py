from __future__ import annotations

from datetime import UTC, date, datetime
from importlib import import_module
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authkit.analysis.growing import Growing, grown
from authkit.errors import InvalidInput

pa: Any = import_module("pyarrow")

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("at", pa.timestamp("us", "UTC")),
        ("local", pa.timestamp("us")),
        ("day", pa.date32()),
        ("code", pa.string()),
        ("name", pa.string()),
        ("count", pa.int64()),
        ("score", pa.float64()),
        ("good", pa.bool_()),
    ]
)
ROW = (NOON, NOON.replace(tzinfo=None), NOON.date(), "at", "ann", 7, 0.5, True)


def batch(*rows: tuple[object, ...]) -> Any:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * len(SCHEMA)
    arrays = [
        pa.array(column, field.type)
        for column, field in zip(columns, SCHEMA, strict=True)
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


def frame_of(*batches: Any) -> pd.DataFrame:
    growing = Growing(SCHEMA)
    for one in batches:
        growing.add(one)
    return growing.frame()


@pytest.mark.parametrize("rows", [1, 5_000])
@pytest.mark.parametrize("batches", [1, 3])
def test_every_cell_of_a_frame_can_be_written_to(rows: int, batches: int):
    frame = frame_of(*[batch(*[ROW] * rows)] * batches)
    last = len(frame) - 1
    new = {"at": pd.Timestamp(NOON.replace(hour=13)), "score": 0.25, "name": "bob"}
    for column, value in new.items():
        frame.loc[last, column] = value
    assert {column: frame.loc[last, column] for column in new} == new


def test_frames_of_one_table_share_no_memory():
    table = pa.Table.from_batches([batch(ROW, ROW)])
    first, second = grown(table), grown(table)
    first.loc[0, "score"] = 0.25
    assert second.loc[0, "score"] == 0.5
    assert table.column("score")[0].as_py() == 0.5


@pytest.mark.parametrize(
    "batches", [[], [batch()], [batch(ROW)], [batch((None,) * len(ROW)), batch(ROW)]]
)
def test_types_depend_on_the_schema_alone(batches: list[Any]):
    assert frame_of(*batches).dtypes.astype("str").to_dict() == {
        "at": "datetime64[us, UTC]",
        "local": "datetime64[us]",
        "day": "datetime64[ms]",
        "code": "str",
        "name": "str",
        "count": "Int64",
        "score": "float64",
        "good": "boolean",
    }


TEXTS = st.text(max_size=3) | st.sampled_from(["ab", "cd"]) | st.none()
ROWS = st.tuples(
    st.datetimes(timezones=st.just(UTC)) | st.none(),
    st.datetimes() | st.none(),
    st.dates(min_value=date(1800, 1, 1)) | st.none(),
    st.sampled_from(["at", "de"]),
    TEXTS,
    st.integers(-(2**63), 2**63 - 1) | st.none(),
    st.floats(allow_nan=False) | st.none(),
    st.booleans() | st.none(),
)


@settings(max_examples=40)
@given(st.lists(st.lists(ROWS, max_size=5), max_size=4), st.integers(0, 3))
def test_what_grows_by_batches_is_what_came(rows: list[list[Any]], skipped: int):
    whole = [batch(*part).slice(min(skipped, len(part))) for part in rows]
    expected = [row for part in rows for row in part[skipped:]]
    frame = frame_of(*whole)
    found = [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame.itertuples(index=False, name=None)
    ]
    assert found == [
        tuple(
            pd.Timestamp(value) if isinstance(value, date) else value for value in row
        )
        for row in expected
    ]


def test_two_columns_of_one_name_are_refused():
    twice = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    with pytest.raises(InvalidInput, match="called a"):
        Growing(twice)


def test_texts_of_one_length_share_where_each_begins():
    size, parts = 10_000, 20
    before = pa.total_allocated_bytes()
    growing = Growing(pa.schema([("id", pa.string())]))
    pool = pa.system_memory_pool()
    held = pool.bytes_allocated()
    for number in range(parts):
        ids = [f"{number:04}-{row:05}" for row in range(size)]
        growing.add(pa.record_batch({"id": pa.array(ids)}))
    letters = size * parts * 10
    assert letters <= pool.bytes_allocated() - held < letters * 1.1
    assert growing.frame()["id"].iloc[-1] == "0019-09999"
    assert pa.total_allocated_bytes() <= before
