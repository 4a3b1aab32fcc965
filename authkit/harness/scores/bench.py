"""The whole measurement: a server, two databases filled on it, and what they took."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Final

import psycopg

from authkit.errors import LabError
from authkit.figures import Figure, Report, figure
from authkit.harness.scores.filling import FILLING, Progress, Size, counted, fill
from authkit.harness.scores.speed import Asked, measure

if TYPE_CHECKING:
    from authkit.lab import Lab

SMALLER: Final = 10  # times fewer attempts and users in the database beside it
# Of the server, for both databases: what is read at login fits, as it should.
_ATTEMPTS_PER_MB: Final = 1_400
_LEAST_MB: Final = 256
_CONFIG: Final = {"max_wal_size": "8GB", "checkpoint_timeout": "30min"}


def run(
    size: Size,
    asked: Asked,
    progress: Progress,
    *,
    lab: str | None = None,
    fill_only: bool = False,
) -> Report:
    """Fill what is not there yet, measure, and return the figures.

    Args:
        size: of the large counters; the small ones have a tenth of both.
        asked: how hard and how long.
        progress: told of each step.
        lab: a standing lab to keep the filled databases in; made where there is none.
            None: a lab of this run's own, which is removed.
        fill_only: measure nothing.

    Raises:
        LabError: there is no server to be had, or pgbench failed.
        InvalidInput: there are fewer than ten users.
    """
    started, began = datetime.now(UTC), perf_counter()
    sizes = (Size(size.attempts // SMALLER, size.users // SMALLER), size)
    figures: list[Figure] = []
    with _ground(lab, size) as ground:
        filled: list[tuple[str, Size]] = []
        for name, one in zip(("small", "large"), sizes, strict=True):
            at = perf_counter()
            database, logins = _filled(ground, one, name, progress)
            filled.append((database, one))
            figures += [
                figure(f"completed logins counted, {name}", logins, "logins"),
                figure(f"time to fill, {name}", round(perf_counter() - at, 1), "s"),
            ]
        if not fill_only:
            small, large = filled
            figures = [*measure(ground, small, large, asked, progress), *figures]
        version = str(ground.sql("SHOW server_version")[0][0])
    spent = perf_counter() - began
    return Report("risk bench", started, spent, tuple(figures), postgres=version)


@contextmanager
def _ground(name: str | None, size: Size) -> Generator[Lab]:
    from authkit.lab import cluster, find, up

    buffers_mb = max(_LEAST_MB, size.attempts // _ATTEMPTS_PER_MB)
    config = {**_CONFIG, "shared_buffers": f"{buffers_mb}MB"}
    if name is None:
        with cluster(replicas=0, config=config) as lab:
            yield lab
        return
    try:
        lab = find(name)
    except LabError:
        lab = up(name, replicas=0, config=config)
    yield lab


def _filled(lab: Lab, size: Size, name: str, progress: Progress) -> tuple[str, int]:
    """Return a database of a size and its logins; made where it is not there whole."""
    from authkit.ops.migrate import upgrade

    database = f"scores_{FILLING}_{size.attempts}_{size.users}"
    there = lab.sql(
        "SELECT FROM pg_catalog.pg_database WHERE datname = %s", (database,)
    )
    if not there:
        lab.create_database(database)
    url = lab.url(database=database)
    upgrade(url)
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        logins = counted(connection) or fill(connection, size, progress, name)
        connection.execute("CHECKPOINT")
    return database, logins
