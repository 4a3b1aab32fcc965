"""Every way of tampering with stored entries is seen, and named with its row."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.relational.canonical import canonical
from authkit.relational.chain import (
    ChainVerifier,
    Entry,
    Fault,
    Head,
    Verification,
    entry_hash,
    verify,
)
from authkit.relational.faithful import unfaithful_column
from authkit.schema.audit import GENESIS_HASH

START = datetime(2026, 11, 1, tzinfo=UTC)


def event(number: int) -> dict[str, object]:
    return {
        "actor": f"user:{number}",
        "action": "role.grant",
        "outcome": "succeeded",
        "target": "role:admin",
        "ip": "192.0.2.1",
        "details": {"number": number, "flag": True},
        "occurred_at": "2026-11-01T00:00:00.000000+00:00",
    }


def columns(said: dict[str, object]) -> dict[str, object]:
    return {
        "actor": said["actor"],
        "action": said["action"],
        "target": said["target"],
        "outcome": said["outcome"],
        "before": None,
        "after": None,
        "details": said["details"],
        "ip": ip_address(str(said["ip"])),
        "user_agent": None,
        "correlation_id": None,
        "occurred_at": START,
    }


def chain(length: int, shard: int = 0) -> list[Entry]:
    entries: list[Entry] = []
    previous = GENESIS_HASH
    for seq in range(1, length + 1):
        said = event(seq)
        stored = canonical(said)
        at = START + timedelta(seconds=seq)
        digest = entry_hash(shard, seq, at, previous, stored)
        entries.append(
            Entry(
                date(2026, 11, 1),
                shard,
                seq,
                at,
                previous,
                digest,
                stored,
                columns(said),
            )
        )
        previous = digest
    return entries


def head_of(entries: list[Entry]) -> Head:
    return Head(entries[-1].shard, entries[-1].seq, entries[-1].hash)


def check(
    entries: list[Entry], head: Head | None = None, **options: object
) -> Verification:
    return verify(entries, [head or head_of(entries)], **options)


def broken(found: Verification) -> tuple[int, Fault]:
    assert found.broken is not None
    return found.broken.seq, found.broken.fault


def test_an_untouched_chain_is_intact():
    entries = chain(20)
    found = check(entries)
    assert found.intact
    assert (found.entries, found.heads) == (20, (head_of(entries),))


def test_the_hash_is_over_the_documented_layout():
    at = datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC)
    microseconds = 1_795_395_723_456_789
    assert at.timestamp() == pytest.approx(microseconds / 1e6)
    layout = (
        b"authkit/audit/1\x00"
        b"\x00\x00\x00\x05"
        + b"\x00" * 7
        + b"\x09"
        + microseconds.to_bytes(8, "big")
        + bytes(32)
        + b"{}"
    )
    from hashlib import sha256

    assert entry_hash(5, 9, at, bytes(32), b"{}") == sha256(layout).digest()


@pytest.mark.parametrize("position", [0, 7, 19])
def test_edited_bytes_are_found_at_their_row(position: int):
    entries = chain(20)
    said = json.loads(entries[position].canonical) | {"outcome": "denied"}
    entries[position] = replace(entries[position], canonical=canonical(said))
    assert broken(check(entries, head_of(chain(20)))) == (position + 1, Fault.EDITED)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "user:mallory"),
        ("action", "role.revoke"),
        ("target", None),
        ("outcome", "failed"),
        ("ip", ip_address("192.0.2.9")),
        ("details", {"number": 3, "flag": 1}),
        ("before", {"a": 1}),
        ("occurred_at", START + timedelta(microseconds=1)),
    ],
)
def test_a_column_edited_beside_untouched_bytes_is_found(column: str, value: object):
    entries = chain(5)
    entries[2] = replace(entries[2], columns={**entries[2].columns, column: value})
    found = check(entries)
    assert broken(found) == (3, Fault.COLUMN_EDITED)
    assert found.broken is not None
    assert found.broken.column == column
    assert str(found.broken).endswith(f"({column})")


def test_a_moved_clock_is_found():
    entries = chain(5)
    entries[1] = replace(entries[1], recorded_at=START)
    assert broken(check(entries)) == (2, Fault.EDITED)


def test_a_deleted_entry_is_found_at_the_one_after_it():
    entries = chain(6)
    del entries[2]
    assert broken(check(entries)) == (4, Fault.MISSING)


def test_entries_that_changed_places_are_found():
    entries = chain(6)
    one, two = entries[1], entries[2]
    entries[1], entries[2] = replace(two, seq=2), replace(one, seq=3)
    assert broken(check(entries)) == (2, Fault.EDITED)


def test_an_entry_inserted_with_a_hash_of_its_own_is_found():
    entries = chain(6)
    said = canonical(event(99))
    at = START + timedelta(seconds=2.5)
    digest = entry_hash(0, 3, at, entries[1].hash, said)
    forged = Entry(date(2026, 11, 1), 0, 3, at, entries[1].hash, digest, said)
    moved = [replace(e, seq=e.seq + 1) for e in entries[2:]]
    found = check([*entries[:2], forged, *moved], Head(0, 7, entries[-1].hash))
    assert broken(found) == (4, Fault.EDITED)


def test_an_entry_that_repeats_a_number_is_found():
    entries = chain(6)
    assert broken(check([*entries[:3], entries[2], *entries[3:]])) == (
        3,
        Fault.REPEATED,
    )


def test_a_replaced_tail_that_links_only_to_itself_is_found():
    entries = chain(6)
    forged = replace(entries[3], prev_hash=bytes(32))
    forged = replace(
        forged,
        hash=entry_hash(0, 4, forged.recorded_at, bytes(32), forged.canonical),
    )
    assert broken(check([*entries[:3], forged])) == (4, Fault.UNLINKED)


def test_a_cut_tail_is_found_by_the_head():
    entries = chain(6)
    assert broken(check(entries[:4], head_of(entries))) == (5, Fault.TRUNCATED)


def test_a_chain_emptied_whole_is_found_by_the_head():
    assert broken(check([], head_of(chain(6)))) == (1, Fault.TRUNCATED)


def test_a_head_that_was_moved_back_is_found():
    entries = chain(6)
    head = Head(0, 4, entries[3].hash)
    assert broken(check(entries, head)) == (4, Fault.HEAD_EDITED)


def test_a_shard_without_its_head_is_found():
    entries = chain(3, shard=2)
    assert broken(verify(entries, [Head(0, 0, GENESIS_HASH)])) == (
        3,
        Fault.HEAD_EDITED,
    )


def test_tail_and_head_cut_together_are_found_by_a_witness():
    entries = chain(6)
    witness = head_of(entries)
    assert check(entries[:4]).intact
    assert broken(check(entries[:4], witnesses=[witness])) == (6, Fault.TRUNCATED)


def test_a_chain_rewritten_whole_is_found_by_a_witness():
    witness = head_of(chain(6))
    forged = [replace(e, canonical=canonical(event(e.seq + 50))) for e in chain(6)]
    relinked: list[Entry] = []
    previous = GENESIS_HASH
    for entry in forged:
        digest = entry_hash(0, entry.seq, entry.recorded_at, previous, entry.canonical)
        relinked.append(replace(entry, prev_hash=previous, hash=digest, columns={}))
        previous = digest
    assert check(relinked).intact
    assert broken(check(relinked, witnesses=[witness])) == (6, Fault.REWRITTEN)


def test_a_dropped_prefix_is_a_fault_unless_pruning_is_known():
    entries = chain(6)
    assert broken(check(entries[3:])) == (4, Fault.MISSING)
    assert ChainVerifier().feed(entries[3]) is not None
    assert check(entries[3:], pruned=True).intact


def test_shards_are_chains_of_their_own():
    one, two = chain(4, shard=0), chain(3, shard=1)
    mixed = sorted(one + two, key=lambda e: (e.period, e.shard, e.seq))
    assert verify(mixed, [head_of(one), head_of(two)]).entries == 7


def place(found: Verification) -> tuple[int, int]:
    assert found.broken is not None
    return found.broken.shard, found.broken.seq


def test_what_is_broken_names_its_shard():
    whole, cut = chain(4, shard=0), chain(4, shard=1)
    heads = [head_of(whole), head_of(cut)]
    assert place(verify([*whole, *cut[:2]], heads)) == (1, 3)
    moved = [heads[0], Head(1, 2, cut[1].hash)]
    assert place(verify([*whole, *cut], moved)) == (1, 2)
    assert place(verify([*whole, *cut], heads[:1])) == (1, 4)
    witnesses = [*heads, Head(1, 9, b"x" * 32)]
    assert place(verify([*whole, *cut], heads, witnesses=witnesses)) == (1, 9)
    told = str(verify([*whole, *cut[:2]], heads).broken)
    assert told == "audit entry 3 of shard 1: entries are missing at the end"
    gap = verify([*whole, *cut[:1], *cut[2:]], heads)
    assert place(gap) == (1, 3)
    assert gap.broken is not None
    assert gap.broken.period == date(2026, 11, 1)


def test_a_quiet_shard_whose_months_were_dropped_hides_nothing_of_the_next():
    quiet, busy = chain(2, shard=0), chain(5, shard=1)
    heads = [head_of(quiet), head_of(busy)]
    assert verify(busy[3:], heads, pruned=True).intact
    cut = verify(busy[2:4], heads, pruned=True)
    assert (place(cut), broken(cut)[1]) == ((1, 5), Fault.TRUNCATED)


def test_an_entry_that_a_witness_saw_may_be_dropped_but_not_passed_over():
    """Seals let a chain begin later; what comes before is the witness's no more."""
    entries = chain(6)
    early = Head(0, 2, entries[1].hash)
    assert check(entries[3:], pruned=True, witnesses=[early]).intact
    assert check(entries, witnesses=[early]).intact


def test_the_first_entry_links_to_nothing_whatever_was_dropped():
    first = chain(1)[0]
    elsewhere = b"\x01" * 32
    digest = entry_hash(0, 1, first.recorded_at, elsewhere, first.canonical)
    forged = replace(first, prev_hash=elsewhere, hash=digest)
    assert broken(check([forged], pruned=True)) == (1, Fault.UNLINKED)
    second = chain(2)[1]
    assert check([second], pruned=True).intact


def test_what_a_failover_may_have_lost_is_told_and_no_fault():
    entries = chain(4)
    replaced, beyond = Head(0, 3, b"x" * 32), Head(0, 6, b"y" * 32)
    found = check(entries, excused=[replaced, beyond, head_of(entries)])
    assert found.intact
    assert found.lost == (replaced, beyond)
    worse = check(entries, excused=[replaced], witnesses=[beyond])
    assert worse.lost == ()


def quick(entry: Entry, verifier: ChainVerifier, **changed: object) -> bool:
    said = replace(entry, **changed)
    at = (said.recorded_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )
    fixed = struct.pack(">iqq", said.shard, said.seq, at)
    hashed = fixed + said.prev_hash + said.canonical
    return verifier.follows(said.shard, said.seq, said.prev_hash, said.hash, hashed)


def test_the_quick_look_takes_what_the_whole_one_takes():
    entries = chain(6)
    verifier = ChainVerifier(witnesses=[Head(0, 4, entries[3].hash)])
    assert not quick(entries[0], verifier)  # the first is begun with
    assert verifier.feed(entries[0]) is None
    assert quick(entries[1], verifier)
    third = entries[2]
    for changed in (
        {"seq": 4},
        {"shard": 1},
        {"prev_hash": b"x" * 32},
        {"hash": b"x" * 32},
        {"canonical": b"{}"},
    ):
        assert not quick(third, verifier, **changed)
    assert quick(third, verifier)
    assert not quick(entries[3], verifier)  # a witness saw it: the whole look is due
    assert verifier.feed(entries[3]) is None
    assert quick(entries[4], verifier)
    assert quick(entries[5], verifier)
    found = verifier.finish([head_of(entries)])
    assert (found.entries, found.intact) == (6, True)


def test_bytes_that_are_no_json_but_hash_well_are_named():
    entries = chain(1)
    digest = entry_hash(0, 1, entries[0].recorded_at, GENESIS_HASH, b"\xff{")
    entries[0] = replace(entries[0], canonical=b"\xff{", hash=digest)
    found = check(entries)
    assert broken(found) == (1, Fault.COLUMN_EDITED)
    assert str(found.broken).endswith("(canonical)")
    for stored in (b"[]", b"1"):
        assert unfaithful_column(stored, entries[0].columns) == "canonical"


def test_an_event_without_details_has_an_empty_column_and_no_other():
    said = {**event(1), "details": None}
    assert unfaithful_column(canonical(said), {**columns(said), "details": {}}) is None
    for details in ({"a": 1}, None):
        edited = {**columns(said), "details": details}
        assert unfaithful_column(canonical(said), edited) == "details"


def test_a_column_that_could_never_have_been_said_is_found():
    """A number that jsonb holds and no event may say, as it is not safe in JSON."""
    said = event(1)
    edited = {**columns(said), "details": {"number": 2**60}}
    assert unfaithful_column(canonical(said), edited) == "details"


@given(
    st.integers(2, 12),
    st.data(),
    st.sampled_from(["delete", "swap", "repeat", "flip", "truncate"]),
)
def test_no_tampering_with_a_chain_goes_unseen(length: int, data: st.DataObject, how):
    entries = chain(length)
    head = head_of(entries)
    one = data.draw(st.integers(0, length - 1))
    two = data.draw(st.integers(0, length - 1).filter(lambda n: n != one))
    match how:
        case "delete":
            del entries[one]
        case "swap":
            entries[one], entries[two] = entries[two], entries[one]
        case "repeat":
            entries.insert(two, entries[one])
        case "truncate":
            del entries[one:]
        case _:
            stored = bytearray(entries[one].canonical)
            stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1
            entries[one] = replace(entries[one], canonical=bytes(stored))
    assert not check(entries, head).intact


def test_the_quick_look_sees_a_gap_and_a_broken_link_each_by_itself():
    entries = chain(3)
    verifier = ChainVerifier()
    verifier.feed(entries[0])
    # Each with the hash that belongs to what it says, so that only one thing is wrong.
    for seq, link in ((3, entries[0].hash), (2, b"x" * 32)):
        second = entries[1]
        own = entry_hash(0, seq, second.recorded_at, link, second.canonical)
        assert not quick(second, verifier, seq=seq, prev_hash=link, hash=own)
    assert quick(entries[1], verifier)


def test_the_quick_look_leaves_what_is_excused_to_the_whole_one():
    entries = chain(3)
    verifier = ChainVerifier(excused=[Head(0, 3, b"x" * 32)])
    verifier.feed(entries[0])
    assert quick(entries[1], verifier)
    assert not quick(entries[2], verifier)
