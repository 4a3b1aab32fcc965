"""Showing one entry of a sealed month to somebody who holds nothing but the seal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from authkit.errors import NotFound
from authkit.relational.chain import Seal
from authkit.relational.merkle import inclusion_proof, leaf_hash, verify_inclusion

# An entry's month is never earlier than that of its time, and later only where the
# clock was set back meanwhile.
_PERIOD = text("""
    SELECT period FROM authkit.audit_logs
    WHERE period >= date_trunc('month', CAST(:at AS timestamptz) AT TIME ZONE 'UTC')
        AND shard = :shard AND seq = :seq
""")
_HASHES = text("""
    SELECT shard, seq, hash FROM authkit.audit_logs
    WHERE period = :period ORDER BY shard, seq
""")


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That an entry's hash is one of its month's: hand it over beside the entry."""

    period: date
    hash: bytes
    index: int
    entries: int
    path: tuple[bytes, ...]

    def holds(self, seal: Seal) -> bool:
        """Tell whether the entry is one of those that were sealed (RFC 9162, 2.1.3).

        Needs no database: a seal that was kept elsewhere, and this, are enough.
        """
        return (self.period, self.entries) == (
            seal.period,
            seal.entries,
        ) and verify_inclusion(
            leaf_hash(self.hash), self.index, self.entries, self.path, seal.root
        )


def prove(session: Session, shard: int, seq: int, recorded_at: datetime) -> Inclusion:
    """Prove an entry; reads the hashes of its month, 32 bytes each.

    Raises:
        NotFound: the entry is not there, or its month was dropped.
    """
    place = {"shard": shard, "seq": seq}
    period = session.scalar(_PERIOD, {**place, "at": recorded_at})
    if period is None:
        raise NotFound("there is no such audit entry, or its month was dropped")
    index, hashes = 0, list[bytes]()
    for at, number, digest in session.execute(_HASHES, {"period": period}):
        if (at, number) == (shard, seq):
            index = len(hashes)
        hashes.append(digest)
    path = inclusion_proof(index, hashes)
    return Inclusion(period, hashes[index], index, len(hashes), path)
