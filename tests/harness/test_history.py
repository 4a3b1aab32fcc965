from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.harness.history import History, Write, outage, read
from authkit.ids import uuid7


def at(*moments: float) -> tuple[Write, ...]:
    return tuple(Write(moment, "session", uuid7()) for moment in moments)


def test_what_is_acknowledged_can_be_read_back_in_order(tmp_path: Path):
    path = tmp_path / "history.txt"
    first, second = uuid7(), uuid7()
    one, other = History(path), History(path)
    one.acknowledge("session", first, 2.5)
    other.acknowledge("attempt", second, 1.25)
    one.close()
    one.close()
    other.close()
    assert read(path) == (
        Write(1.25, "attempt", second),
        Write(2.5, "session", first),
    )


def test_nobody_else_may_read_the_file(tmp_path: Path):
    history = History(tmp_path / "history.txt")
    history.close()
    assert (tmp_path / "history.txt").stat().st_mode & 0o077 == 0


def test_a_run_begins_without_the_writes_of_an_earlier_one(tmp_path: Path):
    path = tmp_path / "history.txt"
    mine = uuid7()
    for row_id in (uuid7(), mine):
        with History(path, anew=True) as history:
            history.acknowledge("session", row_id, 1.5)
    assert [write.row_id for write in read(path)] == [mine]


def test_a_history_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"cannot write .*: No such file"):
        History(tmp_path / "nowhere" / "history.txt")


def test_a_line_that_a_killed_process_left_unfinished_is_no_acknowledgement(
    tmp_path: Path,
):
    path = tmp_path / "history.txt"
    path.write_text(f"1.5 session {uuid7()}\n2.0 session 0199")
    assert [write.at_s for write in read(path)] == [1.5]


@pytest.mark.parametrize("line", ["1.5 dance x", "x session y", "nothing"])
def test_a_file_that_is_no_history_is_refused(tmp_path: Path, line: str):
    path = tmp_path / "history.txt"
    path.write_text(line + "\n")
    with pytest.raises(InvalidInput):
        read(path)
    with pytest.raises(InvalidInput):
        read(tmp_path / "missing.txt")


def test_the_outage_is_the_longest_gap_around_the_fault():
    writes = at(1.0, 2.0, 2.05, 2.9, 3.0, 9.0)
    assert outage(writes, fault=(2.02, 2.3)) == (2.05, 2.9)


def test_a_gap_that_began_after_the_fault_was_answered_is_not_its_outage():
    assert outage(at(1.0, 2.0, 2.5, 8.0), fault=(2.1, 2.2)) == (2.0, 2.5)


@pytest.mark.parametrize("moments", [(), (5.0, 6.0), (1.0, 2.0)])
def test_without_writes_on_both_sides_no_outage_was_seen(moments):
    assert outage(at(*moments), fault=(3.0, 3.5)) is None


@given(st.lists(st.floats(0, 100), min_size=2), st.floats(0, 100), st.floats(0, 5))
def test_an_outage_overlaps_the_fault(moments, began: float, length: float):
    found = outage(at(*sorted(moments)), fault=(began, began + length))
    if found is not None:
        assert found[1] > began
        assert found[0] < began + length
