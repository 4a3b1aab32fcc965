"""Merkle tree hashes and proofs, as RFC 9162 section 2.1 defines them. Pure functions.

A tree is over a list of byte strings. Whoever holds a root of 32 bytes can be shown
that an entry is in the list (inclusion), or that a longer list begins with the one that
an older root was of (consistency), with about log2(n) hashes instead of the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from authkit.errors import InvalidInput

_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a list of one entry (section 2.1.1)."""
    return sha256(_LEAF + entry).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


class Tree:
    """The root of a list that streams by: memory grows with the logarithm of its size.

    What is kept are the roots of the complete subtrees that the list falls into, the
    largest first: one for each bit that is set in its size.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, entries: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes] = []
        for entry in entries:
            self.add(entry)

    def add(self, entry: bytes) -> None:
        """Append an entry."""
        found, size = leaf_hash(entry), self.size
        while size & 1:
            found = _node_hash(self._peaks.pop(), found)
            size >>= 1
        self._peaks.append(found)
        self.size += 1

    @property
    def root(self) -> bytes:
        """MTH of section 2.1.1; of an empty list the hash of nothing."""
        if not self._peaks:
            return sha256().digest()
        found = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            found = _node_hash(peak, found)
        return found


def tree_hash(entries: Iterable[bytes]) -> bytes:
    """Return the Merkle tree hash of a list (section 2.1.1), 32 bytes."""
    return Tree(entries).root


def inclusion_proof(index: int, entries: Sequence[bytes]) -> tuple[bytes, ...]:
    """Prove that `entries[index]` is in the list: PATH of section 2.1.3.1.

    Raises:
        InvalidInput: there is no entry of this index.
    """
    if not 0 <= index < len(entries):
        raise InvalidInput("there is no entry of this index to prove")
    proof: list[bytes] = []
    low, high = 0, len(entries)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(tree_hash(entries[middle:high]))
            high = middle
        else:
            proof.append(tree_hash(entries[low:middle]))
            low = middle
    return tuple(reversed(proof))


def consistency_proof(first: int, entries: Sequence[bytes]) -> tuple[bytes, ...]:
    """Prove that the list begins with its first `first` entries (section 2.1.4.1).

    Raises:
        InvalidInput: the list has not 1 to that many entries.
    """
    if not 0 < first <= len(entries):
        raise InvalidInput("the older list has 1 to as many entries as the newer")
    proof: list[bytes] = []
    low, high, whole = 0, len(entries), True
    while first != high:
        middle = low + _split(high - low)
        if first <= middle:
            proof.append(tree_hash(entries[middle:high]))
            high = middle
        else:
            proof.append(tree_hash(entries[low:middle]))
            low, whole = middle, False
    # The older root is not repeated: whoever checks the proof holds it.
    if not whole:
        proof.append(tree_hash(entries[low:high]))
    return tuple(reversed(proof))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether a proof shows a leaf at an index of the list (section 2.1.3.2).

    Args:
        leaf: `leaf_hash` of the entry.
        index: where the entry stands, from 0.
        size: of the list.
        proof: what `inclusion_proof` gave.
        root: of the list.
    """
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = _node_hash(part, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = _node_hash(found, part)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    first: int,
    second: int,
    first_root: bytes,
    second_root: bytes,
    proof: Sequence[bytes],
) -> bool:
    """Tell whether a proof shows that the newer list begins with the older one.

    Section 2.1.4.2.

    Args:
        first: size of the older list.
        second: size of the newer list.
        first_root: of the older list.
        second_root: of the newer list.
        proof: what `consistency_proof` gave.
    """
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    # A list whose size is a power of two is a subtree of its own: its root is known.
    path = (first_root, *proof) if first & (first - 1) == 0 else tuple(proof)
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            older, newer = _node_hash(part, older), _node_hash(part, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = _node_hash(newer, part)
        place, last = place >> 1, last >> 1
    return last == 0 and older == first_root and newer == second_root


def _split(size: int) -> int:
    """Return the largest power of two smaller than a size of 2 or more."""
    return 1 << ((size - 1).bit_length() - 1)
