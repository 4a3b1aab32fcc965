from __future__ import annotations

from dataclasses import replace

import pytest

from authkit.analysis import Chain, forgeries, read_chain
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


@pytest.mark.parametrize(
    ("forgery", "fault"),
    [
        ("the actor's name changed", Fault.COLUMN_EDITED),
        ("the bytes rewritten", Fault.EDITED),
        ("an entry removed", Fault.MISSING),
    ],
)
def test_a_forgery_is_found_by_the_chain_alone(
    chain: Chain, forgery: str, fault: Fault
):
    broken = forgeries(chain)[forgery].verify().broken
    assert broken is not None
    assert broken.fault is fault


def test_an_end_cut_off_with_its_head_is_found_by_a_witness_only(chain: Chain):
    cut = forgeries(chain)["the end cut off, head and all"]
    assert cut.verify().intact
    broken = cut.verify(witnesses=chain.heads).broken
    assert broken is not None
    assert broken.fault is Fault.TRUNCATED


def test_a_chain_too_short_to_forge_is_named(chain: Chain):
    with pytest.raises(InvalidInput, match="too short"):
        forgeries(replace(chain, entries=chain.entries[:2]))
