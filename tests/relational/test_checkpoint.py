"""Checkpoints: what is signed, what may follow what, and what they prove of a chain."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.crypto.signing import SigningKey
from authkit.errors import InvalidInput
from authkit.relational import checkpoint_log
from authkit.relational.canonical import canonical
from authkit.relational.chain import Entry, Fault, Head, Seal, entry_hash, verify
from authkit.relational.checkpoint import (
    Checkpoint,
    evidence,
    longest_gap,
    read,
    read_all,
    setback,
    sign,
)
from authkit.relational.checkpoint_log import CheckpointLog, read_file
from authkit.relational.merkle import tree_hash
from authkit.schema.audit import GENESIS_HASH

START = datetime(2026, 9, 1, tzinfo=UTC)
KEY = SigningKey.generate()


def head(seq: int, mark: bytes = b"a", shard: int = 0) -> Head:
    return Head(shard, seq, mark * 32)


def at(number: int, *heads: Head, **changes: object) -> Checkpoint:
    values: dict[str, object] = {
        "system": "7000000000000000001",
        "database": "app",
        "timeline": 1,
        "lsn": number,
        "at": START + timedelta(seconds=30 * number),
        "heads": heads,
    }
    return Checkpoint(**(values | changes))  # pyright: ignore[reportArgumentType] # a table of values


def chain(*months: int, mark: str = "a") -> list[Entry]:
    """One shard with as many entries in each month from September 2026 on."""
    entries: list[Entry] = []
    previous = GENESIS_HASH
    for month, length in enumerate(months):
        period = date(2026, 9 + month, 1)
        for number in range(length):
            when = datetime(2026, 9 + month, 2, tzinfo=UTC) + timedelta(hours=number)
            stored = canonical({"actor": f"user:{mark}", "n": number})
            seq = len(entries) + 1
            digest = entry_hash(0, seq, when, previous, stored)
            entries.append(Entry(period, 0, seq, when, previous, digest, stored))
            previous = digest
    return entries


def end(entries: list[Entry]) -> Head:
    return Head(0, entries[-1].seq, entries[-1].hash)


def seal(entries: list[Entry], period: date) -> Seal:
    inside = [entry for entry in entries if entry.period == period]
    root = tree_hash([entry.hash for entry in inside])
    return Seal(period, len(inside), root, (end(inside),))


SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)


# --- what is signed -------------------------------------------------------------------


@given(
    st.lists(st.binary(min_size=32, max_size=32), max_size=4),
    st.integers(0, 2**64 - 1),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)),  # noqa: DTZ001 # hypothesis adds the zone
    st.one_of(st.none(), st.binary(min_size=32, max_size=32)),
)
def test_a_checkpoint_survives_its_line(hashes, lsn, when, previous):
    heads = tuple(Head(shard, 7, found) for shard, found in enumerate(hashes))
    made = at(
        1,
        *heads,
        lsn=lsn,
        at=when,
        previous=previous,
        seals=(Seal(SEPTEMBER, 3, bytes(32), heads),),
        sealed_until=SEPTEMBER,
    )
    assert read(sign(made, KEY), KEY.public) == made


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("heads", [[0, 2, "00" * 32]]),
        ("timeline", 2),
        ("lsn", "0/2"),
        ("at", "2026-09-02T00:00:00+00:00"),
        ("system", "1"),
        ("database", "other"),
        ("previous", "00" * 32),
        ("sealed_until", "2026-10-01"),
    ],
)
def test_a_part_changed_after_signing_is_found(part: str, value: object):
    line = json.loads(sign(at(1, head(3)), KEY))
    line["statement"][part] = value
    with pytest.raises(InvalidInput, match="changed after it was signed"):
        read(json.dumps(line), KEY.public)


def test_a_line_of_another_key_or_of_nothing_is_refused():
    line = sign(at(1, head(3)), SigningKey.generate())
    with pytest.raises(InvalidInput, match="another key"):
        read(line, KEY.public)
    for broken in ("", "{}", "[]", "null", line[:-10], line.replace("heads", "hands")):
        with pytest.raises(InvalidInput, match="no checkpoint"):
            read(broken, KEY.public)


def test_a_line_taken_out_of_the_middle_is_found():
    lines: list[str] = []
    last: Checkpoint | None = None
    for number in range(1, 5):
        last = at(number, head(number), previous=last and last.digest)
        lines.append(sign(last, KEY))
    assert len(read_all(lines, KEY.public)) == 4
    # An older file was put away: what is left begins later.
    assert len(read_all(lines[2:], KEY.public)) == 2
    with pytest.raises(InvalidInput, match="line 3 of the checkpoints"):
        read_all([*lines[:2], lines[3]], KEY.public)
    with pytest.raises(InvalidInput, match="line 2 of the checkpoints: this is no"):
        read_all([lines[0], "{}", lines[2]], KEY.public)


# --- what may follow what -------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (at(2, head(5)), None),
        (at(2, head(9)), None),
        (at(2, head(4)), "missing at the end"),
        (at(2), "missing at the end"),
        (at(2, head(5, b"b")), "entry 5 of audit shard 0 was rewritten"),
        (at(2, head(9), system="2"), "another database"),
        (at(2, head(9), timeline=0), "older timeline"),
        (at(2, head(4), timeline=2), None),
    ],
)
def test_a_chain_never_gets_shorter_on_one_timeline(after, says):
    found = setback(at(1, head(5)), after)
    assert (found is None) if says is None else (says in str(found))


def test_the_longest_time_without_a_checkpoint_is_told():
    assert longest_gap([]) == timedelta()
    assert longest_gap([at(1), at(2), at(9)]) == timedelta(seconds=210)


# --- what they prove ------------------------------------------------------------------


def judged(entries, checkpoints, *, timeline=1, left=None, tail=None):
    found = evidence(checkpoints, timeline=timeline, left=left or {})
    return verify(
        entries,
        [tail or end(entries)],
        witnesses=found.witnesses,
        excused=found.excused,
        seals=found.seals,
    )


def test_a_tail_cut_off_with_its_head_is_tampering():
    entries = chain(6)
    found = judged(entries[:4], [at(1, end(entries[:2])), at(2, end(entries))])
    assert found.broken is not None
    assert (found.broken.seq, found.broken.fault) == (6, Fault.TRUNCATED)


def test_a_tail_that_a_failover_lost_is_told_and_is_no_tampering():
    entries = chain(6)
    seen = [at(10, end(entries[:3])), at(20, end(entries))]
    # Timeline 1 was left at 15: what the first one saw was safe, the rest not.
    found = judged(entries[:4], seen, timeline=2, left={1: 15})
    assert (found.intact, found.lost) == (True, (end(entries),))
    cut = judged(entries[:2], seen, timeline=2, left={1: 15})
    assert cut.broken is not None
    assert cut.broken.fault is Fault.TRUNCATED
    # Where the history is not known, nothing is excused.
    assert not judged(entries[:4], seen, timeline=2).intact


def test_a_history_of_a_later_timeline_excuses_nothing_of_the_one_of_today():
    seen = end(chain(6))
    found = evidence([at(20, seen)], timeline=1, left={1: 15})
    assert (found.witnesses, found.excused) == ((seen,), ())


def test_numbers_that_a_failover_gave_out_again_are_told():
    entries, others = chain(6), chain(3)
    for number, entry in enumerate(chain(9, mark="b")[3:], start=4):
        digest = entry_hash(
            0, number, entry.recorded_at, others[-1].hash, entry.canonical
        )
        others.append(replace(entry, prev_hash=others[-1].hash, hash=digest))
    seen = [at(10, end(entries[:3])), at(20, end(entries))]
    newer = at(40, end(others), timeline=2)
    found = judged(others, [*seen, newer], timeline=2, left={1: 15})
    assert (found.intact, found.lost) == (True, (end(entries),))
    assert not judged(others, seen, timeline=2, left={1: 25}).intact


def test_a_dropped_month_is_known_by_its_seal_and_nothing_more_may_be_missing():
    entries = chain(4, 3, 5)
    seals = (seal(entries, SEPTEMBER), seal(entries, OCTOBER))
    kept = [at(1, end(entries), seals=seals)]
    assert judged(entries, kept).dropped == ()
    rest = judged(entries[4:], kept)
    assert (rest.intact, rest.dropped) == (True, (SEPTEMBER,))
    assert judged(entries[7:], kept).dropped == (SEPTEMBER, OCTOBER)
    for cut in (entries[5:], entries[8:], entries[:3] + entries[7:]):
        found = judged(cut, kept, tail=end(entries)).broken
        assert found is not None
        assert found.fault is Fault.MISSING
    # The last month was not sealed: it may not be gone, nor may all of them.
    for gone in (entries[:7], []):
        assert not judged(gone, kept, tail=end(entries)).intact
        assert not judged(gone, kept, tail=end(entries[:7])).intact


def test_a_chain_rewritten_that_grew_before_the_next_checkpoint_is_found():
    """The newer head links to what was forged; the older one was signed before."""
    entries, forged = chain(3), chain(5, mark="b")
    kept = [at(1, end(entries)), at(2, end(forged))]
    for timeline, left in ((1, {}), (2, {1: 1})):
        newer = replace(kept[1], timeline=timeline)
        found = judged(forged, [kept[0], newer], timeline=timeline, left=left).broken
        assert found is not None
        assert (found.seq, found.fault) == (3, Fault.REWRITTEN)


def test_a_seal_of_what_was_forged_does_not_stand_for_what_was_seen():
    entries, forged = chain(4, 1), chain(4, 1, mark="b")
    kept = [at(1, end(entries[:4])), at(2, seals=(seal(forged, SEPTEMBER),))]
    found = judged(forged, kept).broken
    assert found is not None
    assert (found.seq, found.fault) == (4, Fault.REWRITTEN)


def test_what_was_seen_in_a_dropped_month_is_its_seal_s_to_show():
    entries = chain(4, 1)
    kept = [at(1, end(entries[:4])), at(2, seals=(seal(entries, SEPTEMBER),))]
    # The head that was seen is the very last entry of what was dropped.
    found = judged(entries[4:], kept)
    assert (found.intact, found.dropped) == (True, (SEPTEMBER,))


def test_a_trail_of_which_every_month_was_sealed_and_dropped_is_intact():
    entries = chain(4, 3)
    kept = [at(1, seals=(seal(entries, SEPTEMBER), seal(entries, OCTOBER)))]
    found = judged([], kept, tail=end(entries))
    assert (found.intact, found.dropped) == (True, (SEPTEMBER, OCTOBER))
    assert not judged([], kept, tail=end(chain(4, 4))).intact


def test_a_chain_rewritten_within_a_sealed_month_is_found_without_its_root():
    entries = chain(4, 3)
    kept = [at(1, seals=(seal(entries, SEPTEMBER),))]
    found = judged(chain(4, 3, mark="b"), kept).broken
    assert found is not None
    assert (found.seq, found.fault) == (4, Fault.REWRITTEN)


# --- the file -------------------------------------------------------------------------


def follow(*heads: Head):
    """Observe what the next line says, whatever the line before it was."""
    return lambda before: at(
        1 if before is None else before.lsn + 1,
        *heads,
        previous=None if before is None else before.digest,
    )


def test_a_file_grows_by_lines_that_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # A line is longer than what is read at once to find the last one.
    monkeypatch.setattr(checkpoint_log, "_BLOCK", 100)
    log = CheckpointLog(tmp_path / "checkpoints", KEY)
    for seq in range(1, 41):
        assert isinstance(log.add(follow(head(seq))), Checkpoint)
    assert log.path.stat().st_size > 40 * 100
    seen = read_file(log.path, KEY.public)
    assert [c.heads[0].seq for c in seen] == list(range(1, 41))


def test_a_trail_that_became_shorter_is_not_signed(tmp_path: Path):
    log = CheckpointLog(tmp_path / "checkpoints", KEY)
    log.add(follow(head(5)))
    assert "missing at the end" in str(log.add(follow(head(4))))
    assert len(read_file(log.path, KEY.public)) == 1


def test_a_line_that_a_crash_cut_short_is_cut_off(tmp_path: Path):
    log = CheckpointLog(tmp_path / "checkpoints", KEY)
    for seq in (1, 2):
        log.add(follow(head(seq)))
    with log.path.open("a") as file:
        file.write('{"key": "torn ' + "x" * 200_000)
    assert len(read_file(log.path, KEY.public)) == 2
    log.add(follow(head(3)))
    assert len(read_file(log.path, KEY.public)) == 3


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match="cannot write"):
        CheckpointLog(tmp_path, KEY).add(follow(head(1)))
    with pytest.raises(InvalidInput, match="cannot read"):
        read_file(tmp_path / "none", KEY.public)
    other = CheckpointLog(tmp_path / "checkpoints", SigningKey.generate())
    other.add(follow(head(1)))
    with pytest.raises(InvalidInput, match="another key"):
        CheckpointLog(other.path, KEY).add(follow(head(2)))
