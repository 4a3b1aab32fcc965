"""The audit chain, checked without a database: pure functions over stored bytes.

Give `ChainVerifier` the entries in order of (period, shard, seq), then the heads. It
stops at the first entry that cannot be what was appended and says which one, and why.
The layout of the hash is written down in `authkit.schema.audit`.

What a chain alone cannot show: that somebody who may rewrite everything rewrote all of
it, or cut off the end and moved the head back as well. For that, keep the heads
(`Verification.heads`) somewhere else and hand them in as `witnesses`; or better, keep
signed checkpoints (`authkit.relational.checkpoint`), which hold seals as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from hashlib import sha256
from struct import Struct

from authkit.relational.faithful import unfaithful_column
from authkit.schema.audit import GENESIS_HASH, HASH_DOMAIN

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What stands before the two that are bytes already: big-endian, signed.
_FIXED = Struct(">16siqq")


class Fault(Enum):
    """Why an entry, or a head, cannot be what was appended."""

    EDITED = "the stored bytes do not have the stored hash"
    COLUMN_EDITED = "a column differs from the stored bytes"
    UNLINKED = "it does not continue the entry before it"
    MISSING = "entries before it are missing"
    REPEATED = "its number was used before"
    TRUNCATED = "entries are missing at the end"
    HEAD_EDITED = "the head is not the last entry"
    REWRITTEN = "it is not the entry that the witness saw"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is stored; `columns` are those that repeat the bytes."""

    period: date
    shard: int
    seq: int
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes
    canonical: bytes
    columns: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a shard: its number (0: none) and hash."""

    shard: int
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """A month that is over: how many entries, their Merkle root, where shards ended.

    The tree is over the entries' hashes in order of (shard, seq). Once the month's
    partition is dropped, each shard must go on right after its end.
    """

    period: date
    entries: int
    root: bytes
    ends: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """The first broken link: which row, what is wrong, and the column if one is."""

    shard: int
    seq: int
    period: date | None
    fault: Fault
    column: str | None = None

    def __str__(self) -> str:
        where = f"audit entry {self.seq} of shard {self.shard}"
        detail = "" if self.column is None else f" ({self.column})"
        return f"{where}: {self.fault.value}{detail}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found; `broken` is None where every link holds.

    `lost` are heads that a failover may have lost: they were seen on a timeline that
    was left before they were safe, and are not in the chain. `dropped` are the sealed
    months of which nothing is left: by retention, if you dropped them.
    """

    entries: int
    heads: tuple[Head, ...]
    broken: Broken | None
    lost: tuple[Head, ...] = ()
    dropped: tuple[date, ...] = ()

    @property
    def intact(self) -> bool:
        """True when every entry is what was appended and none is missing."""
        return self.broken is None


def entry_hash(
    shard: int, seq: int, recorded_at: datetime, prev_hash: bytes, canonical: bytes
) -> bytes:
    """Return the SHA-256 (32 bytes) that an entry must have."""
    microseconds = (recorded_at - _EPOCH) // _MICROSECOND
    fixed = _FIXED.pack(HASH_DOMAIN, shard, seq, microseconds)
    return sha256(fixed + prev_hash + canonical).digest()


# What the first entry of any shard follows.
_BEFORE_ALL = (0, GENESIS_HASH)


class ChainVerifier:
    """Checks one entry after another; memory does not grow with their number.

    Args:
        pruned: old partitions were dropped, so a shard may begin after entry 1.
        witnesses: heads that were kept elsewhere and must still be in the chain.
        excused: heads that a failover may have lost; if so it is told, and no fault.
        seals: of months that are over. Where the first of them were dropped, each
            shard must begin right behind them: `pruned` is not needed then.
    """

    def __init__(
        self,
        *,
        pruned: bool = False,
        witnesses: Iterable[Head] = (),
        excused: Iterable[Head] = (),
        seals: Iterable[Seal] = (),
    ) -> None:
        self._pruned = pruned
        self._witnesses = {(w.shard, w.seq): w.hash for w in witnesses if w.seq}
        self._excused = {(w.shard, w.seq): w.hash for w in excused if w.seq}
        self._seals = tuple(sorted(seals, key=lambda seal: seal.period))
        # Number and hash of each shard's newest entry so far.
        self._last: dict[int, tuple[int, bytes]] = {}
        self._entries = 0
        self._lost: list[Head] = []
        self._dropped: tuple[date, ...] = ()

    def _begin(self, first: date) -> None:
        """Take up each shard where the dropped months ended."""
        dropped = [seal for seal in self._seals if seal.period < first]
        self._dropped = tuple(seal.period for seal in dropped)
        for seal in self._seals:
            for end in seal.ends:
                if seal.period < first:
                    self._last[end.shard] = (end.seq, end.hash)
                else:
                    self._witnesses.setdefault((end.shard, end.seq), end.hash)
        for heads in (self._witnesses, self._excused):
            for shard, seq in tuple(heads):
                if shard in self._last and seq <= self._last[shard][0]:
                    del heads[shard, seq]

    def follows(
        self,
        shard: int,
        seq: int,
        prev_hash: bytes,
        digest: bytes,
        hashed: bytes | memoryview,
    ) -> bool:
        """Take an entry that goes on as it must; False: `feed` it, to know what it is.

        For streams of many: nothing is made of an entry of which nothing is to tell.

        Args:
            shard: its chain.
            seq: its number there.
            prev_hash: what it says of the entry before.
            digest: its stored hash.
            hashed: what its hash is of, behind the domain, with the parts above.
        """
        last = self._last.get(shard)
        if (
            last is None
            or seq != last[0] + 1
            or prev_hash != last[1]
            or (self._witnesses and (shard, seq) in self._witnesses)
            or (self._excused and (shard, seq) in self._excused)
            or sha256(HASH_DOMAIN + hashed).digest() != digest
        ):
            return False
        self._entries += 1
        self._last[shard] = (seq, digest)
        return True

    def feed(self, entry: Entry) -> Broken | None:
        """Check the next entry; the first one that is returned ends the check."""
        if self._entries == 0:
            self._begin(entry.period)
        fault, column = self._check(entry)
        if fault is not None:
            return Broken(entry.shard, entry.seq, entry.period, fault, column)
        self._entries += 1
        self._last[entry.shard] = (entry.seq, entry.hash)
        return None

    def _check(self, entry: Entry) -> tuple[Fault | None, str | None]:
        newest, newest_hash = self._last.get(entry.shard, _BEFORE_ALL)
        pruned_away = self._pruned and newest == 0
        if entry.seq <= newest:
            return Fault.REPEATED, None
        if entry.seq > newest + 1 and not pruned_away:
            return Fault.MISSING, None
        expected = entry_hash(
            entry.shard, entry.seq, entry.recorded_at, entry.prev_hash, entry.canonical
        )
        if entry.hash != expected:
            return Fault.EDITED, None
        if entry.prev_hash != newest_hash and not (pruned_away and entry.seq > 1):
            return Fault.UNLINKED, None
        seen = self._witnesses.pop((entry.shard, entry.seq), entry.hash)
        if seen != entry.hash:
            return Fault.REWRITTEN, None
        excused = self._excused.pop((entry.shard, entry.seq), entry.hash)
        if excused != entry.hash:
            self._lost.append(Head(entry.shard, entry.seq, excused))
        column = unfaithful_column(entry.canonical, entry.columns)
        return (None, None) if column is None else (Fault.COLUMN_EDITED, column)

    def finish(self, heads: Iterable[Head]) -> Verification:
        """Compare the ends with the heads, and with what the witnesses saw."""
        if self._entries == 0:
            self._begin(date.max)
        broken = self._check_ends(tuple(heads))
        return self.result(broken)

    def result(self, broken: Broken | None) -> Verification:
        """Sum up: how many entries hold, and where each shard ends."""
        ends = tuple(Head(shard, *self._last[shard]) for shard in sorted(self._last))
        missing = [Head(*place, seen) for place, seen in self._excused.items()]
        lost = tuple(sorted([*self._lost, *missing], key=lambda head: head.shard))
        return Verification(
            self._entries, ends, broken, () if broken else lost, self._dropped
        )

    def _check_ends(self, heads: tuple[Head, ...]) -> Broken | None:
        for head in sorted(heads, key=lambda h: h.shard):
            last = self._last.get(head.shard)
            # With every partition of a quiet shard dropped, its head stands alone.
            if last is None and self._pruned:
                continue
            last = last or _BEFORE_ALL
            if head.seq > last[0]:
                return Broken(head.shard, last[0] + 1, None, Fault.TRUNCATED)
            if (head.seq, head.hash) != last:
                return Broken(head.shard, head.seq, None, Fault.HEAD_EDITED)
        headless = sorted(set(self._last) - {head.shard for head in heads})
        for shard in headless:
            return Broken(shard, self._last[shard][0], None, Fault.HEAD_EDITED)
        for shard, seq in sorted(self._witnesses):
            last = self._last.get(shard)
            if last is None or seq > last[0]:
                return Broken(shard, seq, None, Fault.TRUNCATED)
            if not self._pruned:
                return Broken(shard, seq, None, Fault.MISSING)
        return None


def verify(
    entries: Iterable[Entry],
    heads: Iterable[Head],
    *,
    pruned: bool = False,
    witnesses: Iterable[Head] = (),
    excused: Iterable[Head] = (),
    seals: Iterable[Seal] = (),
) -> Verification:
    """Check entries in order of (period, shard, seq) against their heads.

    It stops at the first entry that is broken; what broke is returned, not raised.

    Args:
        entries: read once, and not kept.
        heads: where each shard ends, one a shard.
        pruned: as for `ChainVerifier`, like those that follow.
        witnesses: heads that were kept elsewhere.
        excused: heads that a failover may have lost.
        seals: of months that are over.
    """
    verifier = ChainVerifier(
        pruned=pruned, witnesses=witnesses, excused=excused, seals=seals
    )
    for entry in entries:
        broken = verifier.feed(entry)
        if broken is not None:
            return verifier.result(broken)
    return verifier.finish(heads)
