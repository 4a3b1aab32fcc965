"""Backups: made, listed, verified, restored to a moment; and every way it can fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authkit.errors import BackupError, InvalidInput, Unavailable
from authkit.lab import Lab, cluster
from authkit.ops.backup import Backup, Folder, Stream, Target, create, restore, verify
from authkit.ops.backup.drilling import drill
from authkit.ops.backup.planning import choose, require_reachable
from authkit.ops.backup.retention import retain, surplus, unneeded
from authkit.ops.backup.staging import writing
from authkit.ops.backup.streaming import receive_until
from authkit.ops.backup.throwaway import throwaway
from authkit.ops.backup.timelines import History
from authkit.ops.backup.tools import Tools, find_tools
from authkit.ops.backup.wal import (
    copy_segment,
    holds_point,
    kept_in,
    position,
    reach,
    segment_size,
    segments,
    shown,
)
from authkit.ops.connection import connect
from authkit.ops.database import setup
from authkit.testing.plugin import memory_folder
from authkit.testing.waiting import until

SIZE = 16 * 1024**2
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
ONE = Backup(
    id="one", parent=None, system="7", version="18.6", timeline=1, start=2 * SIZE,
    end=2 * SIZE + 100, started=EPOCH, finished=EPOCH + timedelta(minutes=1),
    size_bytes=1, seconds=1.0,
)  # fmt: skip
TWO = replace(
    ONE, id="two", parent="one", start=5 * SIZE, end=5 * SIZE + 9,
    finished=EPOCH + timedelta(hours=1),
)  # fmt: skip


# --- Pure: which backup, how far, what may go --------------------------------------


def names(*numbers: int, timeline: int = 1) -> list[str]:
    return [f"{timeline:08X}{0:08X}{n:08X}" for n in numbers]


def test_a_position_is_read_as_postgresql_writes_it():
    assert shown(position("16/B374D848")) == "16/B374D848"


def test_the_log_is_followed_to_its_first_gap_and_no_further():
    found = segments([*names(1, 2, 3, 5), "00000002.history", "archive_status"], SIZE)
    broken = reach(found, ONE.end, 1, SIZE)
    assert (broken.end, broken.missing) == (4 * SIZE, names(4)[0])
    whole = reach(segments(names(2, 3), SIZE), ONE.end, 1, SIZE)
    assert (whole.end, whole.missing) == (4 * SIZE, None)
    over = reach(segments([*names(2), *names(3, timeline=2)], SIZE), ONE.end, 1, SIZE)
    assert (over.end, over.missing) == (4 * SIZE, None)
    nothing = reach((), ONE.end, 1, SIZE)
    assert (nothing.end, nothing.missing) == (ONE.end, None)


def test_the_log_begins_inside_the_backup_where_streaming_began_after_it(tmp_path):
    inside, beside, absent = (tmp_path / name for name in ("pg_wal", "wal", "none"))
    for folder, held in ((inside, names(2)), (beside, [f"{names(3)[0]}.partial"])):
        folder.mkdir()
        for name in (*held, "00000002.history"):
            (folder / name).touch()
    log = kept_in(inside, beside, absent)
    assert [path.parent for path in log.values()] == [inside, beside]
    found = reach(segments(log, SIZE), ONE.end, 1, SIZE)
    assert (found.end, found.missing) == (4 * SIZE, None)


def test_a_segment_that_became_full_since_it_was_listed_is_copied(tmp_path):
    (listed,) = names(2)
    (tmp_path / f"{listed}.partial").write_bytes(b"half")
    log = kept_in(tmp_path)
    (tmp_path / f"{listed}.partial").rename(tmp_path / listed)
    assert segment_size(log) == SIZE
    copy_segment(log[f"{listed}.partial"], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"half"
    with pytest.raises(FileNotFoundError):
        copy_segment(tmp_path / names(3)[0], tmp_path / "copy")


def test_recovery_begins_with_the_newest_backup_before_the_moment():
    late = Target(time=TWO.finished + timedelta(seconds=1))
    assert choose([ONE, TWO], late) is TWO
    assert choose([ONE, TWO], Target(time=TWO.finished - timedelta(seconds=1))) is ONE
    assert choose([ONE, TWO], Target(lsn=ONE.end)) is ONE
    with pytest.raises(BackupError, match="earliest that can be restored"):
        choose([ONE, TWO], Target(time=EPOCH))


def test_a_missing_segment_says_to_which_moment_recovery_can_go():
    gap = reach(segments(names(2, 3, 5), SIZE), ONE.end, 1, SIZE)
    last = ONE.finished + timedelta(minutes=5)
    for target in (Target(), Target(lsn=5 * SIZE), Target(time=last + timedelta(1))):
        with pytest.raises(BackupError) as refused:
            require_reachable(ONE, target, gap, last)
        assert names(4)[0] in str(refused.value)
        assert last.isoformat() in str(refused.value)
        assert shown(4 * SIZE) in str(refused.value)
    require_reachable(ONE, Target(time=last), gap, last)


def test_one_moment_is_named_and_a_time_has_a_zone():
    with pytest.raises(InvalidInput, match="one moment"):
        Target(lsn=1, name="x")
    with pytest.raises(InvalidInput, match="zone"):
        Target(time=datetime(2026, 3, 1))  # noqa: DTZ001 # the point of the test


def test_retention_never_removes_what_a_kept_backup_stands_on():
    three = replace(TWO, id="three", parent=None, start=8 * SIZE, end=9 * SIZE)
    assert surplus([ONE, TWO, three], 2) == ()
    assert [b.id for b in surplus([ONE, TWO, three], 1)] == ["two", "one"]
    old = unneeded(segments(names(1, 2, 7, 8), SIZE), [three], SIZE)
    assert [s.number for s in old] == [1, 2, 7]
    with pytest.raises(InvalidInput):
        surplus([ONE], 0)


# --- Real: one lab, one full and one incremental backup, one stream ---------------


@pytest.fixture(scope="module")
def tools() -> Tools:
    return find_tools()


@pytest.fixture(scope="module")
def source() -> Iterator[Lab]:
    config = {"summarize_wal": "on", "fsync": "off"}
    with cluster(replicas=0, config=config, in_memory=True) as lab:
        setup(lab.url())
        yield lab


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A folder that the servers' account can enter, in memory where there is room."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.fixture
def place(disk: Path) -> Iterator[Path]:
    """A folder of the test's own there."""
    with tempfile.TemporaryDirectory(dir=disk) as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.fixture(scope="module")
def made(source: Lab, tools: Tools, disk: Path) -> Folder:
    """A full backup, the log, and an incremental backup where that is safe."""
    folder = Folder(disk / "backups")
    receive_until(tools, folder, source.url(), now(source))
    create(source.url(), folder, tools=tools)
    write(source, "between")
    if tools.programs.capabilities().incremental_safe:
        create(source.url(), folder, incremental=True, tools=tools)
    write(source, "after")
    receive_until(tools, folder, source.url(), now(source))
    return folder


@pytest.fixture
def copy(made: Folder, place: Path) -> Folder:
    """The same, to be damaged."""
    shutil.copytree(made.path, place / "copy")
    return Folder(place / "copy")


def now(lab: Lab) -> int:
    return position(lab.sql("SELECT pg_current_wal_flush_lsn()::text")[0][0])


def write(lab: Lab, key: str) -> None:
    lab.sql("INSERT INTO authkit.write_keys (key, status) VALUES (%s,'applied')", [key])


def test_a_drill_under_load_recovers_to_the_moment_and_finds_everything(
    source: Lab, made: Folder, tools: Tools, place: Path
):
    write(source, "just before")
    with writing(source.url()) as written:
        found = drill(source.url(), made, tools=tools, root=place)
    assert written() > 0
    assert found.passed, found.findings
    said = " ".join(finding.what for finding in found.findings)
    assert "invariants hold" in said
    assert "rows in" in said
    figures = {f.name: f.value for f in found.report().figures}
    assert figures["faults"] == 0
    assert figures["recovery_s"]


def test_a_point_is_found_in_a_segment_that_became_full_meanwhile(
    source: Lab, made: Folder, tools: Tools, place: Path
):
    source.sql("SELECT pg_create_restore_point('becomes full')")
    write(source, "behind the point that becomes full")  # its commit flushes both
    receive_until(tools, made, source.url(), now(source))
    shutil.copytree(made.path, place / "kept")
    folder = Folder(place / "kept")
    backup, listed = folder.backups()[-1], kept_in(folder.wal)
    (partial,) = [path for path in listed.values() if path.suffix == ".partial"]
    partial.rename(partial.with_suffix(""))
    assert holds_point(
        tools, listed, "becomes full",
        start=backup.end, end=now(source), timeline=backup.timeline,
    )  # fmt: skip


def test_a_stream_that_dies_is_started_again_and_nothing_is_missing(
    source: Lab, tools: Tools, place: Path
):
    told: list[str] = []
    folder = Folder(place)
    with Stream(
        source.url(), folder, slot="dies", tools=tools, tell=told.append
    ) as stream:
        write(source, "first")
        stream.wait_for(now(source))
        pid = stream.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: stream.restarts >= 1, "the restart")
        write(source, "second")
        stream.wait_for(now(source))
    assert "pg_receivewal ended" in told[0]
    source.sql("SELECT pg_drop_replication_slot('dies')")


def test_a_time_between_two_writes_restores_the_first_only(
    source: Lab, made: Folder, tools: Tools, place: Path
):
    write(source, "wanted")
    ((at,),) = source.sql("SELECT clock_timestamp()")
    write(source, "unwanted")
    receive_until(tools, made, source.url(), now(source))
    with throwaway(tools, place) as spot:
        spot.prepare()
        spot.take_log(made, made.backups()[0])
        restore(
            made, spot.data, Target(time=at), account=spot.server.account,
            wal=spot.wal, tools=tools, verified=False,
        )  # fmt: skip
        spot.recover()
        with connect(spot.url(source.url())) as connection:
            keys = connection.execute(
                "SELECT key FROM authkit.write_keys WHERE key LIKE '%wanted'"
            ).fetchall()
    assert keys == [("wanted",)]


def test_a_damaged_file_is_named(copy: Folder, tools: Tools):
    backup = copy.backups()[0]
    victim = copy.data(backup.id) / "global" / "pg_control"
    blob = bytearray(victim.read_bytes())
    blob[100] ^= 0xFF
    victim.write_bytes(blob)
    with pytest.raises(BackupError, match=r"damaged.*global/pg_control"):
        verify(copy, backup.id, tools=tools)
    with pytest.raises(BackupError, match="damaged"):
        restore(copy, copy.path / "to", backup_id=backup.id, tools=tools)
    assert not (copy.path / "to").exists()


def test_a_missing_segment_is_named_before_anything_is_restored(
    source: Lab, copy: Folder, tools: Tools
):
    backup = copy.backups()[0]
    timeline, number = backup.timeline, backup.end // SIZE
    for step in (2, 3):
        (copy.wal / names(number + step, timeline=timeline)[0]).touch()
    missing = names(number + 1, timeline=timeline)[0]
    for name in (missing, missing + ".partial"):
        (copy.wal / name).unlink(missing_ok=True)
    with pytest.raises(BackupError, match=rf"{missing}.*can be restored up to"):
        restore(copy, copy.path / "to", backup_id=backup.id, tools=tools)
    assert not (copy.path / "to").exists()


def test_a_time_after_the_log_is_refused_with_the_last_that_can_be_reached(
    made: Folder, tools: Tools, place: Path
):
    far = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(BackupError, match=r"ends before that moment.*up to"):
        restore(made, place / "to", Target(time=far), tools=tools, verified=False)


def test_a_named_point_is_restored_from_the_newest_backup_before_it(
    source: Lab, copy: Folder, tools: Tools
):
    mark = "SELECT pg_create_restore_point(%s)"
    source.sql(mark, ["before the later backup"])
    write(source, "beside the point")
    receive_until(tools, copy, source.url(), now(source))
    earlier = max(copy.backups(), key=lambda backup: backup.end)
    later = create(source.url(), copy, tools=tools)
    for name, begin in (("before the later backup", earlier), ("after it", later)):
        if begin is later:
            source.sql(mark, [name])
            write(source, "behind the later point")  # its commit flushes both
            receive_until(tools, copy, source.url(), now(source))
        found = restore(
            copy, copy.path / begin.id, Target(name=name), tools=tools, verified=False
        )
        assert found.backup.id == begin.id
    for named, where in ((None, "any"), (later.id, "that")):
        absent = "never made" if named is None else "before the later backup"
        with pytest.raises(BackupError, match=f"no point named .* {where} backup"):
            restore(
                copy, copy.path / "to", Target(name=absent), backup_id=named,
                tools=tools,
            )  # fmt: skip
    assert not (copy.path / "to").exists()


def test_a_time_is_reached_that_only_a_log_without_commits_follows(
    source: Lab, copy: Folder, tools: Tools
):
    ((at,),) = source.sql("SELECT clock_timestamp()")
    write(source, "the last")
    for _ in range(9):
        source.sql("SELECT pg_logical_emit_message(false, '', 'no commit')")
        source.sql("SELECT pg_switch_wal()")
    receive_until(tools, copy, source.url(), now(source))
    restore(copy, copy.path / "to", Target(time=at), tools=tools, verified=False)


def test_a_copy_that_was_estimated_too_large_is_done_at_its_end(
    copy: Folder, source: Lab, tools: Tools
):
    told: list[tuple[str, int, int]] = []

    def tell(phase: str, done: int, total: int) -> None:
        told.append((phase, done, total))

    safe = tools.programs.capabilities().incremental_safe
    create(source.url(), copy, incremental=safe, tools=tools, tell=tell)
    copied = [(done, total) for phase, done, total in told if phase == "Copying"]
    assert 0 < copied[-1][0] == copied[-1][1]


def test_a_folder_in_use_makes_no_room(
    source: Lab, made: Folder, tools: Tools, place: Path
):
    data = source.server().data
    with pytest.raises(BackupError, match="a server runs on"):
        restore(made, data, tools=tools, replace=made.system)
    (place / "photos").mkdir()
    (place / "photos" / "one").touch()
    with pytest.raises(BackupError, match="no cluster"):
        restore(made, place / "photos", tools=tools)


def test_a_moment_before_the_backup_that_is_named_is_refused_and_nothing_makes_room(
    made: Folder, tools: Tools, place: Path
):
    to, backup = place / "data", made.backups()[0]
    restore(made, to, tools=tools, verified=False)
    for target in (Target(time=backup.started), Target(lsn=backup.end - 1)):
        with pytest.raises(BackupError, match="no backup was complete"):
            restore(
                made, to, target, backup_id=backup.id, replace=made.system, tools=tools,
                verified=False,
            )  # fmt: skip
    assert [path.name for path in place.iterdir()] == ["data"]


def test_a_cluster_makes_room_only_for_who_names_it_and_is_kept(
    made: Folder, tools: Tools, place: Path
):
    to = place / "data"
    restore(made, to, tools=tools, verified=False)
    with pytest.raises(BackupError, match=f"--replace {made.system}"):
        restore(made, to, tools=tools, verified=False, replace="1")
    again = restore(made, to, tools=tools, verified=False, replace=made.system)
    assert again.previous == place / "data.before-1"
    assert (again.previous / "PG_VERSION").exists()


def test_another_clusters_folder_is_refused(source: Lab, tools: Tools, place: Path):
    Folder(place).claim("42", History(1))
    with pytest.raises(BackupError, match="holds backups of the cluster 42"):
        create(source.url(), Folder(place), tools=tools)


def test_who_may_not_replicate_is_told_so_and_nothing_is_left(
    source: Lab, tools: Tools, place: Path
):
    source.sql("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    url = source.url().replace("//authkit:", "//plain:x").split("@")[1]
    with pytest.raises(BackupError, match=r"(?i)permission denied|replication"):
        create(f"postgresql://plain:plain@{url}", Folder(place), tools=tools)
    assert list(place.iterdir()) == []


def test_a_backup_that_was_killed_is_not_listed_and_the_next_one_sweeps_it(
    source: Lab, made: Folder, tools: Tools, place: Path
):
    folder = Folder(place)
    folder.claim(made.system, History(1))
    left = folder.of(".unfinished-20260101T000000") / "data"
    slow = tools.start(
        "pg_basebackup", ["-D", left, "--max-rate=64k", "-c", "fast"], source.url()
    )
    until(lambda: left.exists() and any(left.iterdir()), "some files")
    os.killpg(slow.pid, signal.SIGKILL)
    slow.communicate()
    assert folder.backups() == ()
    create(source.url(), folder, tools=tools)
    assert len(folder.backups()) == 1
    assert not left.parent.exists()


def test_two_at_once_do_not_sweep_each_other(made: Folder, source: Lab, tools: Tools):
    with made.locked(), pytest.raises(BackupError, match="another backup"):
        create(source.url(), made, tools=tools)


def test_a_backup_that_is_removed_while_all_are_listed_is_not_listed(
    copy: Folder, monkeypatch: pytest.MonkeyPatch
):
    left = copy.backups()
    (copy.path / "backups" / "gone").mkdir()
    listed = copy._folders()
    (copy.path / "backups" / "gone").rmdir()
    monkeypatch.setattr(copy, "_folders", lambda: listed)
    assert copy.backups() == left


@pytest.fixture
def small(place: Path) -> Iterator[Path]:
    """A file system without room for a cluster."""
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["/bin/umount", str(place)], check=True)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    source: Lab, tools: Tools, small: Path
):
    with pytest.raises(BackupError, match="No space left on device"):
        create(source.url(), Folder(small), tools=tools)
    assert Folder(small).backups() == ()
    assert list((small / "backups").iterdir()) == []


def test_a_restore_onto_a_full_disk_is_one_clear_error_and_leaves_nothing(
    made: Folder, tools: Tools, small: Path
):
    # One is copied, the other combined by a program that may say it of a short write.
    for backup in made.backups():
        with pytest.raises(BackupError, match=r"No space left|wrote \d+ of \d+"):
            restore(
                made, small / "to", backup_id=backup.id, tools=tools, verified=False
            )
        assert list(small.iterdir()) == []


def test_what_a_killed_restore_left_is_swept_and_the_old_cluster_stays(
    made: Folder, tools: Tools, place: Path
):
    to, left = place / "data", place / ".restoring-data"
    old = place / "data.before-1"  # killed between the two renames at the end
    for folder in (left, old):
        folder.mkdir()
        (folder / "PG_VERSION").touch()
    restore(made, to, tools=tools, verified=False)
    assert (to / "PG_VERSION").read_text()
    assert not left.exists()
    assert (old / "PG_VERSION").exists()


def test_a_server_that_does_not_answer_is_named_without_its_password(place: Path):
    with pytest.raises(Unavailable) as refused:
        create("postgresql://a:hidden@127.0.0.1:1/x", Folder(place))
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(("version", "number"), [("17.10", 170010), ("18.4", 180004)])
def test_an_unsafe_server_makes_no_incremental_backup(
    source: Lab,
    made: Folder,
    tools: Tools,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    number: int,
):
    from authkit.ops.backup import making

    real = making.ask_server(source.url())
    old = replace(real, version=version, number=number)
    monkeypatch.setattr(making, "ask_server", lambda _url: old)
    # Its programs' major version is looked at first, and is not the point here.
    monkeypatch.setattr(Tools, "require_major", lambda *_: None)
    with pytest.raises(BackupError, match=r"wrong\s+contents.*17\.11 or 18\.5"):
        create(source.url(), made, incremental=True, tools=tools)


def test_backups_beyond_those_to_keep_go_with_their_log(copy: Folder):
    retain(copy, 1)
    kept = copy.backups()
    assert kept[-1].id == copy.find().id
    assert all(b.parent is None or b.parent in {k.id for k in kept} for b in kept)
    first = min(b.start for b in kept) // SIZE
    left = segments((p.name for p in copy.wal.iterdir()), SIZE)
    assert all(segment.number >= first for segment in left)


def test_a_folder_without_backups_says_how_to_make_one(place: Path):
    with pytest.raises(BackupError, match="authkit backup create"):
        verify(Folder(place))
