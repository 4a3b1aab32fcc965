from __future__ import annotations

from dataclasses import replace

import pytest

from authkit.analysis import Chain, read_chain
from authkit.errors import InvalidInput
from authkit.relational.chain import Fault


@pytest.fixture(scope="module")
def chain(seeded) -> Chain:
    return read_chain(seeded.frames(masked=False))


def test_a_chain_that_was_read_holds(chain: Chain, seeded):
    found = chain.verify()
    assert found.intact
    assert found.entries == seeded.summary.audit_entries == len(chain.entries)


def test_the_chain_is_never_read_masked(seeded):
    with pytest.raises(InvalidInput, match=r"frames\.clear"):
        read_chain(seeded.frames())


def test_a_column_that_was_edited_is_found(chain: Chain):
    victim = chain.entries[4]
    forged = replace(victim, columns={**victim.columns, "actor": "user:nobody"})
    entries = (*chain.entries[:4], forged, *chain.entries[5:])
    broken = replace(chain, entries=entries).verify().broken
    assert broken is not None
    assert (broken.seq, broken.fault, broken.column) == (
        victim.seq,
        Fault.COLUMN_EDITED,
        "actor",
    )


def test_an_entry_that_was_removed_is_found(chain: Chain):
    entries = (*chain.entries[:4], *chain.entries[5:])
    broken = replace(chain, entries=entries).verify().broken
    assert broken is not None
    assert broken.fault is Fault.MISSING


def test_an_end_cut_off_with_its_head_is_found_by_a_witness_only(chain: Chain):
    last = chain.entries[-1]
    before = chain.entries[-2]
    heads = tuple(
        replace(head, seq=before.seq, hash=before.hash)
        if head.shard == last.shard
        else head
        for head in chain.heads
    )
    cut = Chain(chain.entries[:-1], heads)
    assert cut.verify().intact
    broken = cut.verify(witnesses=chain.heads).broken
    assert broken is not None
    assert broken.fault is Fault.TRUNCATED
