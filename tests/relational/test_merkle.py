"""Roots and proofs against published vectors, and against RFC 9162 read literally."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.relational.merkle import (
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_hash,
    verify_consistency,
    verify_inclusion,
)

# The eight entries and roots of the tests of Certificate Transparency's reference
# implementation (github.com/google/certificate-transparency, merkle_tree_test.cc).
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
# (index, size, proof) of the same tests.
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def unhex(proof: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(part) for part in proof)


# Section 2.1 read literally: recursive, slow, and short enough to be seen right.


def model_root(d: list[bytes]) -> bytes:
    if not d:
        return sha256().digest()
    if len(d) == 1:
        return sha256(b"\x00" + d[0]).digest()
    k = model_split(len(d))
    return sha256(b"\x01" + model_root(d[:k]) + model_root(d[k:])).digest()


def model_split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def model_path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = model_split(len(d))
    if m < k:
        return [*model_path(m, d[:k]), model_root(d[k:])]
    return [*model_path(m - k, d[k:]), model_root(d[:k])]


def model_subproof(m: int, d: list[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [model_root(d)]
    k = model_split(len(d))
    if m <= k:
        return [*model_subproof(m, d[:k], whole), model_root(d[k:])]
    return [*model_subproof(m - k, d[k:], False), model_root(d[:k])]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int):
    assert tree_hash(ENTRIES[:size]) == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, proof):
    assert inclusion_proof(index, ENTRIES[:size]) == unhex(proof)
    leaf = leaf_hash(ENTRIES[index])
    assert verify_inclusion(leaf, index, size, unhex(proof), ROOTS[size])


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(first: int, second: int, proof):
    assert consistency_proof(first, ENTRIES[:second]) == unhex(proof)
    assert verify_consistency(first, second, ROOTS[first], ROOTS[second], unhex(proof))


lists = st.lists(st.binary(max_size=4), min_size=1, max_size=70)


@given(lists, st.data())
def test_proofs_are_those_of_the_text_and_prove(entries: list[bytes], data):
    size = len(entries)
    root = model_root(entries)
    assert tree_hash(entries) == root
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(index, entries)
    assert list(path) == model_path(index, entries)
    assert verify_inclusion(leaf_hash(entries[index]), index, size, path, root)
    first = data.draw(st.integers(1, size))
    proof = consistency_proof(first, entries)
    assert list(proof) == model_subproof(first, entries, True)
    assert verify_consistency(first, size, model_root(entries[:first]), root, proof)


@pytest.mark.parametrize("size", range(1, 18))
def test_every_proof_of_a_short_list_shows_its_place_and_no_other(size: int):
    entries = [bytes([number]) for number in range(size)]
    root = tree_hash(entries)
    for index, entry in enumerate(entries):
        path = inclusion_proof(index, entries)
        for place in range(size):
            shown = verify_inclusion(leaf_hash(entry), place, size, path, root)
            assert shown is (place == index)
        first = index + 1
        older, proof = tree_hash(entries[:first]), consistency_proof(first, entries)
        for other in range(1, size + 1):
            shown = verify_consistency(other, size, older, root, proof)
            assert shown is (other == first)


@given(lists, st.data())
def test_no_other_entry_place_root_or_proof_is_proved(entries, data):
    size = len(entries)
    root = model_root(entries)
    index = data.draw(st.integers(0, size - 1))
    leaf, path = leaf_hash(entries[index]), inclusion_proof(index, entries)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, path, root)
    other = data.draw(st.integers(-1, size))
    if 0 <= other < size and entries[other] == entries[index]:
        return
    assert not verify_inclusion(leaf, other, size, path, root)
    assert not verify_inclusion(leaf, index, size, path, leaf_hash(b"another"))
    assert not verify_inclusion(leaf, index, size, (*path, root), root)
    if path:
        assert not verify_inclusion(leaf, index, size, path[1:], root)


@given(st.integers(2, 70), st.data())
def test_a_list_that_was_rewritten_is_not_consistent(size: int, data):
    entries = [number.to_bytes(2, "big") for number in range(size)]
    first = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, first - 1))
    older = tree_hash(entries[:first])
    entries[changed] = b"changed"
    root, proof = tree_hash(entries), consistency_proof(first, entries)
    assert not verify_consistency(first, size, older, root, proof)
    assert not verify_consistency(first, size, older, root, ())
    assert not verify_consistency(first, size, older, root, (*proof, older))
    assert not verify_consistency(0, size, older, root, proof)
    assert not verify_consistency(size + 1, size, older, root, proof)


def test_a_tree_of_a_list_that_streams_keeps_a_logarithm_of_it():
    tree = Tree(number.to_bytes(4, "big") for number in range(100_000))
    assert tree.size == 100_000
    assert len(tree._peaks) == (100_000).bit_count()


def test_what_is_not_there_cannot_be_proved():
    for index in (-1, 8):
        with pytest.raises(InvalidInput, match="no entry of this index"):
            inclusion_proof(index, ENTRIES)
    for first in (0, 9):
        with pytest.raises(InvalidInput, match="the older list has"):
            consistency_proof(first, ENTRIES)


def test_lists_of_one_length_are_consistent_without_a_proof_and_with_one_never():
    root, other = leaf_hash(b"a"), leaf_hash(b"b")
    assert verify_consistency(1, 1, root, root, ())
    assert not verify_consistency(1, 1, root, other, ())
    assert not verify_consistency(1, 1, root, root, (other,))


def test_every_older_list_is_proved_to_every_newer_one():
    # Every shape of tree up to its fifth level: drawn ones may miss the rare turns.
    entries = [bytes([place]) for place in range(20)]
    roots = [model_root(entries[:size]) for size in range(21)]
    for second in range(1, 21):
        for first in range(1, second + 1):
            proof = consistency_proof(first, entries[:second])
            assert verify_consistency(
                first, second, roots[first], roots[second], proof
            ), (first, second)
