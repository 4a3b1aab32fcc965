"""Attempts to pandas: authkit's frames beside ADBC, `read_sql`, psycopg and COPY.

All arms ask one server for the same columns of the same rows, in turns; every figure is
a ratio within a round, so that what else the machine does falls on both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from io import BytesIO
from random import Random
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.peers.interval import interval

if TYPE_CHECKING:
    from pandas import DataFrame

    Arm = Callable[[], DataFrame]

OURS, BARE = "authkit frames", "ADBC alone"
READ_SQL, ROWS, COPY = "read_sql on SQLAlchemy", "psycopg, tuples", "COPY CSV, Arrow"
_PACKAGES: Final = ("adbc-driver-postgresql", "sqlalchemy", "psycopg", "pyarrow")


@dataclass(frozen=True, slots=True)
class Row:
    """What one arm took, and its ratio to the driver alone; or why it cannot run."""

    arm: str
    seconds: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    missing: str = ""


def run(
    *, people: int = 5000, days: int = 14, rounds: int = 7, progress: Progress = silent
) -> Report:
    """Measure every arm that can run; those that cannot are named.

    Args:
        people: of the seeded world.
        days: of it.
        rounds: of all arms in an order drawn anew.
        progress: told the phase, what is done and what there is to do.
    """
    from authkit import lab
    from authkit.ops.migrate import upgrade
    from authkit.workload.load import seed

    started, began = datetime.now(UTC), perf_counter()
    progress("seeding", 0, 1)
    with lab.cluster(0, in_memory=True) as made:
        upgrade(made.url())
        seed(made.url(), users=people, days=days, seed=1)
        made.sql("ANALYZE")
        progress("seeding", 1, 1)
        arms, rows = opened(made.url())
        took: dict[str, list[float]] = {name: [] for name in arms}
        order, found = Random(rounds), 0  # noqa: S311 # an order, no secret
        for number in range(-1, rounds):
            for name in order.sample(list(arms), len(arms)):
                at = perf_counter()
                found = len(arms[name]())
                if number >= 0:  # the first warms up
                    took[name].append(perf_counter() - at)
            progress("measuring", number + 1, rounds)
        postgres = made.state.version
    rows = [*(_row(name, took) for name in arms), *rows]
    return Report(
        command="bench peers frames",
        started=started,
        seconds=perf_counter() - began,
        figures=figures(rows, found),
        postgres=postgres,
        extra={
            "versions": {name: version(name) for name in _PACKAGES},
            "table": markdown(rows, found),
        },
    )


def figures(rows: Sequence[Row], found: int) -> tuple[Figure, ...]:
    """Return the ratios as figures; a missing arm has none."""
    return (
        figure("rows", found),
        *(
            figure(f"{row.arm} over {BARE}", _rounded(row.ratio), "times")
            for row in rows
            if row.arm != BARE
        ),
    )


def markdown(rows: Sequence[Row], found: int) -> str:
    """Return the table."""
    lines = [
        f"| {found:,} attempts to pandas | seconds | to {BARE} | interval |",
        "|---|---|---|---|",
    ]
    for row in rows:
        if row.seconds is None or row.ratio is None or row.interval is None:
            lines.append(f"| {row.arm} | missing: {row.missing} | | |")
            continue
        low, high = row.interval
        lines.append(
            f"| {row.arm} | {row.seconds:.3f} | {row.ratio:.2f} |"
            f" {low:.2f} to {high:.2f} |"
        )
    return "\n".join(lines) + "\n"


def opened(
    url: str,
    only: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    masked: bool = False,
) -> tuple[dict[str, Arm], list[Row]]:
    """Return the arms that can run, and rows for the others.

    Args:
        url: the server that all of them ask.
        only: names of the arms wanted; by default all of them.
        columns: names of the columns wanted; by default all of them.
        masked: whether the masked view is read instead of the table.
    """
    asked = _statement(columns, masked=masked)
    makers: Mapping[str, Callable[[], Arm]] = {
        BARE: lambda: _adbc(url, asked),
        OURS: lambda: _ours(url, columns, masked=masked),
        COPY: lambda: _copy(url, asked),
        ROWS: lambda: _tuples(url, asked),
        READ_SQL: lambda: _read_sql(url, asked),
    }
    arms: dict[str, Arm] = {}
    missing: list[Row] = []
    for name, make in makers.items():
        if only is not None and name not in only:
            continue
        try:
            arms[name] = make()
        except ImportError as exc:
            missing.append(Row(name, missing=f"{exc.name} is not installed"))
    return arms, missing


def _row(name: str, took: Mapping[str, Sequence[float]]) -> Row:
    ratios = [ours / bare for ours, bare in zip(took[name], took[BARE], strict=True)]
    return Row(name, median(took[name]), median(ratios), interval(ratios))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


# --- the arms -------------------------------------------------------------------------


def _statement(columns: Sequence[str] | None, *, masked: bool) -> LiteralString:
    from authkit.analysis.sources import ATTEMPTS
    from authkit.analysis.window import Window

    whole = Window(None, None)
    return cast("LiteralString", ATTEMPTS.select(whole, (), columns, masked=masked)[0])


def _ours(url: str, columns: Sequence[str] | None, *, masked: bool) -> Arm:
    from authkit.analysis import Frames

    frames = Frames(lambda: url, masked=masked, max_rows=None, say=lambda _: None)
    return partial(frames.attempts, since=None, columns=columns)


def _adbc(url: str, asked: LiteralString) -> Arm:
    """Return what does the least: the driver's own Arrow columns, not converted."""
    import adbc_driver_postgresql.dbapi as dbapi
    import pandas as pd

    connect = cast("Callable[[str], Any]", dbapi.connect)  # pyright: ignore[reportUnknownMemberType] # its parameters have no types

    def read() -> DataFrame:
        with connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(asked)
            return cursor.fetch_arrow_table().to_pandas(types_mapper=pd.ArrowDtype)

    return read


def _read_sql(url: str, asked: LiteralString) -> Arm:
    import pandas as pd
    import sqlalchemy

    there = url.replace("postgresql://", "postgresql+psycopg://", 1)
    text = sqlalchemy.text(asked.replace(":", r"\:"))

    def read() -> DataFrame:
        engine = sqlalchemy.create_engine(there)
        try:
            with engine.connect() as connection:
                return pd.read_sql(text, connection)
        finally:
            engine.dispose()

    return read


def _tuples(url: str, asked: LiteralString) -> Arm:
    import pandas as pd
    import psycopg

    def read() -> DataFrame:
        with psycopg.connect(url) as connection:
            cursor = connection.execute(asked)
            names = [column.name for column in cursor.description or ()]
            return pd.DataFrame(cursor.fetchall(), columns=names)

    return read


def _copy(url: str, asked: LiteralString) -> Arm:
    import psycopg
    from pyarrow import csv

    read_csv = cast("Callable[[BytesIO], Any]", csv.read_csv)  # pyright: ignore[reportUnknownMemberType] # pyarrow has no types

    def read() -> DataFrame:
        with psycopg.connect(url) as connection:
            wanted = f"COPY ({asked}) TO STDOUT (FORMAT csv, HEADER)"
            with connection.cursor().copy(wanted) as copy:
                text = b"".join(bytes(part) for part in copy)
        return read_csv(BytesIO(text)).to_pandas()

    return read
