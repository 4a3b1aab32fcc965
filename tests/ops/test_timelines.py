"""What is kept of a timeline counts as far as the server's history follows it."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from authkit.lab import cluster
from authkit.ops.backup import Backup, Folder, create
from authkit.ops.backup.streaming import receive_until
from authkit.ops.backup.timelines import History, astray
from authkit.ops.backup.tools import find_tools
from authkit.ops.backup.wal import kept_in, position, segments
from authkit.testing.plugin import memory_folder

SIZE = 16 * 1024**2
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
# The first timeline was left in the middle of the segment 3.
FORK = "0/3800000"
FAILED_OVER = History(2, f"1\t{FORK}\tno recovery target specified\n")
TWICE = History(3, f"{FAILED_OVER.text}\n2\t0/5000000\tbefore 2026-03-01 12:00:00+00\n")


def backup(timeline: int, end: int) -> Backup:
    return Backup(
        id="one", parent=None, system="7", version="18.6", timeline=timeline,
        start=end - 1, end=end, started=EPOCH, finished=EPOCH, size_bytes=1,
        seconds=1.0,
    )  # fmt: skip


def found(history: History, *log: str, end: int = SIZE, timeline: int = 1) -> object:
    made = [backup(timeline, end)]
    return astray(history, made, segments(log, SIZE), SIZE, ())


def name(timeline: int, number: int, suffix: str = "") -> str:
    return f"{timeline:08X}{0:08X}{number:08X}{suffix}"


def test_a_history_says_where_each_timeline_was_left():
    assert TWICE.ends() == {1: position(FORK), 2: 5 * SIZE}
    assert History(1).ends() == {}


def test_a_backup_from_beyond_the_fork_is_astray():
    assert found(FAILED_OVER, end=position(FORK)) is None
    assert found(FAILED_OVER, end=position(FORK) + 1) == "the backup one"
    assert found(FAILED_OVER, end=9 * SIZE, timeline=2) is None


def test_a_segment_from_beyond_the_fork_is_astray():
    assert found(FAILED_OVER, name(1, 4, ".partial")) == (
        f"the segment {name(1, 4, '.partial')}"
    )
    # It is full, so it is not begun again, and holds what is no more.
    assert found(FAILED_OVER, name(1, 3)) == f"the segment {name(1, 3)}"


def test_a_failover_within_the_segment_that_is_received_leaves_nothing_astray():
    kept = (name(1, 2), name(1, 3, ".partial"), name(2, 3), name(2, 9, ".partial"))
    assert found(FAILED_OVER, *kept) is None
    assert found(TWICE, *kept[:3], name(2, 4), name(2, 5, ".partial")) is None


def test_a_fork_between_two_segments_leaves_both_where_they_are():
    between = History(2, "1\t0/3000000\tno recovery target specified\n")
    assert found(between, name(1, 2), name(1, 3, ".partial")) is None


def test_a_timeline_that_the_server_never_was_on_is_astray():
    assert found(History(1), name(2, 3)) == f"the segment {name(2, 3)}"
    aside = History(3, FAILED_OVER.text)
    assert found(aside, end=9, timeline=2) == "the backup one"


def test_a_timeline_of_the_same_number_from_another_restore_is_astray():
    other = History(2, "1\t0/2000000\tbefore 2026-03-01 11:00:00+00\n")
    for now in (FAILED_OVER, TWICE):
        assert astray(now, (), (), SIZE, [FAILED_OVER]) is None
        assert astray(now, (), (), SIZE, [other]) == "the history of timeline 2"


def test_a_failover_goes_on_in_the_same_folder():
    tools = find_tools()
    with (
        tempfile.TemporaryDirectory(dir=memory_folder()) as path,
        cluster(replicas=1, in_memory=True, config={"fsync": "off"}) as lab,
    ):
        folder = Folder(Path(path))
        for timeline in (1, 2):
            made = create(lab.url(), folder, tools=tools)
            assert made.timeline == timeline
            ((end,),) = lab.sql("SELECT pg_create_restore_point('end')::text")
            receive_until(tools, folder, lab.url(), position(end))
            if timeline == 1:
                lab.wait_replayed()
                lab.promote()
        assert {s.timeline for s in segments(kept_in(folder.wal), SIZE)} == {1, 2}
