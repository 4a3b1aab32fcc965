"""The stream of the log: where it goes on after a failover, and what holds the log."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authkit.errors import NoPrimary
from authkit.lab import Lab, cluster
from authkit.ops.backup import Folder, Stream
from authkit.ops.backup.streaming import kept, make_slot
from authkit.ops.backup.tools import find_tools
from authkit.ops.backup.wal import position
from authkit.testing.plugin import memory_folder
from authkit.testing.waiting import until


@pytest.fixture
def folder() -> Iterator[Folder]:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as path:
        yield Folder(Path(path))


def now(lab: Lab) -> int:
    return position(lab.sql("SELECT pg_current_wal_flush_lsn()::text")[0][0])


def test_a_stream_goes_on_with_the_new_primary_after_a_failover(folder: Folder):
    told: list[str] = []
    with cluster(1, config={"fsync": "off"}, in_memory=True, synchronous=False) as lab:
        leads = True

        def locate() -> str:
            if not leads:
                raise NoPrimary("nobody leads")
            return lab.url()

        with Stream(locate, folder, tell=told.append) as stream:
            stream.wait_for(now(lab))
            lab.wait_replayed()
            leads = False
            lab.kill("primary")
            until(lambda: any("nobody leads; again" in s for s in told), "a new try")
            lab.promote()
            leads = True
            lab.sql("CREATE TABLE written_after_the_failover ()")
            stream.wait_for(now(lab))
    timelines = {path.name[:8] for path in folder.wal.iterdir()}
    assert {"00000001", "00000002"} <= timelines


def test_what_a_new_slot_holds_is_not_taken_for_received(pair: Lab, folder: Folder):
    before = now(pair)
    pair.sql("CHECKPOINT")
    make_slot(find_tools(), folder.path, pair.url(), "nobody_streams")
    try:
        assert not kept(pair.url(), "nobody_streams", before)
    finally:
        pair.sql("SELECT pg_drop_replication_slot('nobody_streams')")
