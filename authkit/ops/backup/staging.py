"""A drill from nothing: a throw-away lab, a world in it, a stream and two backups."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from authkit.lab import cluster
from authkit.ops.backup.drilling import Drill, drill
from authkit.ops.backup.folder import Folder
from authkit.ops.backup.making import create
from authkit.ops.backup.streaming import Stream
from authkit.ops.backup.tools import Told, find_tools
from authkit.ops.connection import connect
from authkit.ops.database import setup
from authkit.workload import load

_DAYS = 7
_EVERY_S = 0.005


def drill_a_lab(
    *,
    users: int = 500,
    fill_mb: int = 0,
    incremental: bool = True,
    in_memory: bool = False,
    tell: Told | None = None,
) -> Drill:
    """Fill a lab, back it up, and drill while it is written to.

    Args:
        users: people of the world in it.
        fill_mb: rows of no meaning beside them, to make the cluster as large.
        incremental: make an incremental backup on top of the full one, where
            PostgreSQL can and those of its release restore to the right contents.
        in_memory: the lab in memory, where there is room.
        tell: is told of progress.

    Raises:
        AuthkitError: whatever went wrong on the way.
    """
    tools = find_tools()
    incremental = incremental and tools.programs.capabilities().incremental_safe
    # The server would not start with a name that it does not know (17 is the first).
    config = {"summarize_wal": "on"} if incremental else None
    with (
        cluster(replicas=0, config=config, in_memory=in_memory) as lab,
        tempfile.TemporaryDirectory(prefix="authkit-backup-") as path,
    ):
        url = lab.url()
        setup(url)
        load.seed(url, users=users, days=_DAYS, seed=1)
        if fill_mb:
            lab.sql(
                "CREATE TABLE filling AS SELECT n, repeat(md5(n::text), 30) AS text"
                " FROM generate_series(1, %s::bigint * 1000) AS n",
                [fill_mb],
            )
        folder = Folder(Path(path))
        with Stream(url, folder, tools=tools) as stream:
            create(url, folder, tools=tools, tell=tell)
            lab.sql(
                "INSERT INTO authkit.write_keys (key, status)"
                " SELECT 'after-the-full-backup-' || n, 'applied'"
                " FROM generate_series(1, 1000) AS n"
            )
            if incremental:
                create(url, folder, incremental=True, tools=tools, tell=tell)
            lab.sql(
                "INSERT INTO authkit.write_keys (key, status)"
                " SELECT 'after-the-last-backup-' || n, 'applied'"
                " FROM generate_series(1, 1000) AS n"
            )
            with writing(url) as written:
                found = drill(
                    url, folder, tools=tools, root=lab.folder.parent, tell=tell
                )
            stream.stop()
            return replace(found, written=written())


@contextmanager
def writing(url: str) -> Generator[Callable[[], int]]:
    """Write for a block, a row at a time, as an application would all the while.

    Yields what tells how many rows there were. A write that fails ends the block.
    """
    done = threading.Event()

    def write() -> int:
        rows = 0
        with connect(url) as connection:
            while not done.wait(_EVERY_S):
                connection.execute(
                    "INSERT INTO authkit.write_keys (key, status)"
                    " VALUES (%s, 'applied')",
                    [f"during-the-drill-{rows}"],
                )
                rows += 1
        return rows

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        try:
            yield writing.result
        finally:
            done.set()
        writing.result()
