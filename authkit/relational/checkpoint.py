"""Signed checkpoints of the audit trail: what it was at a moment, kept elsewhere. Pure.

Whoever owns the database can rewrite the whole chain, or cut off its end. A checkpoint
says under an Ed25519 signature where every shard ended, on which timeline and up to
which log position; its key is not the application's, and it lives in a file of its own,
on another machine if you are careful. Each one names the one before it by its hash.

One line of such a file is a JSON object, `{"key", "signature", "statement"}`; signed is
`"authkit/checkpoint/1" || 0x00 || RFC 8785 form of the statement`.

A failover may lose what was committed but not yet replicated: that is no tampering. The
two are told apart by the point at which the older timeline was left. What a checkpoint
saw up to that point must be there; what it saw beyond it may be lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Any

from authkit.cluster.consistency import lsn_number, lsn_text
from authkit.crypto.signing import SigningKey, VerifyKey
from authkit.errors import InvalidInput
from authkit.relational.canonical import canonical
from authkit.relational.chain import Head, Seal

_DOMAIN = b"authkit/checkpoint/1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The trail at a moment.

    Attributes:
        system: system identifier of the cluster.
        database: its name.
        timeline: that the primary was on.
        lsn: log position that everything seen lies before.
        at: the server's clock.
        heads: of every shard.
        seals: of the months that were sealed with this checkpoint.
        sealed_until: the newest month that was sealed with this one or one before.
        previous: hash of the checkpoint before this one, if there is one.
    """

    system: str
    database: str
    timeline: int
    lsn: int
    at: datetime
    heads: tuple[Head, ...]
    seals: tuple[Seal, ...] = ()
    sealed_until: date | None = None
    previous: bytes | None = None

    def statement(self) -> dict[str, object]:
        """Return what is signed, as JSON."""
        return {
            "at": self.at.isoformat(timespec="microseconds"),
            "database": self.database,
            "heads": [_from_head(head) for head in self.heads],
            "lsn": lsn_text(self.lsn),
            "previous": None if self.previous is None else self.previous.hex(),
            "sealed_until": _from_date(self.sealed_until),
            "seals": [
                {
                    "ends": [_from_head(end) for end in seal.ends],
                    "entries": seal.entries,
                    "period": _from_date(seal.period),
                    "root": seal.root.hex(),
                }
                for seal in self.seals
            ],
            "system": self.system,
            "timeline": self.timeline,
        }

    @classmethod
    def from_statement(cls, said: Mapping[str, Any]) -> Checkpoint:
        """Read what was signed.

        Raises:
            KeyError, TypeError, ValueError: it is no checkpoint.
        """
        previous: str | None = said["previous"]
        return cls(
            system=str(said["system"]),
            database=str(said["database"]),
            timeline=int(said["timeline"]),
            lsn=lsn_number(said["lsn"]),
            at=datetime.fromisoformat(said["at"]),
            heads=tuple(_to_head(*head) for head in said["heads"]),
            seals=tuple(
                Seal(
                    date.fromisoformat(seal["period"]),
                    int(seal["entries"]),
                    bytes.fromhex(seal["root"]),
                    tuple(_to_head(*end) for end in seal["ends"]),
                )
                for seal in said["seals"]
            ),
            sealed_until=None
            if said["sealed_until"] is None
            else date.fromisoformat(said["sealed_until"]),
            previous=None if previous is None else bytes.fromhex(previous),
        )

    @property
    def digest(self) -> bytes:
        """What the next one names it by."""
        return sha256(_DOMAIN + canonical(self.statement())).digest()


def sign(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Return a checkpoint as one line of JSON, signed."""
    statement = checkpoint.statement()
    signature = key.sign(_DOMAIN + canonical(statement))
    line = {
        "key": key.public.id,
        "signature": signature.hex(),
        "statement": statement,
    }
    return canonical(line).decode()


def read(line: str, key: VerifyKey) -> Checkpoint:
    """Return the checkpoint of a line, once its signature holds.

    Raises:
        InvalidInput: it is no checkpoint, or is not signed by this key.
    """
    try:
        envelope: dict[str, Any] = json.loads(line)
        statement: dict[str, Any] = envelope["statement"]
        signature, signer = bytes.fromhex(envelope["signature"]), envelope["key"]
        checkpoint = Checkpoint.from_statement(statement)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InvalidInput("this is no checkpoint of the audit trail") from None
    if signer != key.id:
        raise InvalidInput("the checkpoint was signed with another key than this one's")
    if not key.verify(_DOMAIN + canonical(statement), signature):
        raise InvalidInput("the checkpoint was changed after it was signed")
    return checkpoint


def read_all(lines: Iterable[str], key: VerifyKey) -> tuple[Checkpoint, ...]:
    """Read a whole file: each line signed, and each the one after the one before.

    The first line may name one before it, where an older file was put away.

    Raises:
        InvalidInput: saying which line is at fault.
    """
    found: list[Checkpoint] = []
    previous: bytes | None = None
    for number, line in enumerate(lines, start=1):
        try:
            checkpoint = read(line, key)
        except InvalidInput as exc:
            raise InvalidInput(f"line {number} of the checkpoints: {exc}") from exc
        if found and checkpoint.previous != previous:
            raise InvalidInput(
                f"line {number} of the checkpoints does not follow the line before it: "
                "lines were taken out or put in"
            )
        previous = checkpoint.digest
        found.append(checkpoint)
    return tuple(found)


def setback(before: Checkpoint, after: Checkpoint) -> str | None:
    """Say what cannot be, if `after` is to follow `before`; None if all is well.

    A shard that has become shorter on one timeline was cut off. On a newer timeline
    that may be a failover's loss, which `evidence` judges.
    """
    if (before.system, before.database) != (after.system, after.database):
        return "this is another database than the one of the checkpoints"
    if after.timeline < before.timeline:
        return "the server is on an older timeline than the one of the checkpoints"
    if after.timeline > before.timeline:
        return None
    now = {head.shard: head for head in after.heads}
    for head in before.heads:
        found = now.get(head.shard)
        if found is None or found.seq < head.seq:
            return f"entries of audit shard {head.shard} are missing at the end"
        if found.seq == head.seq and found.hash != head.hash:
            return f"entry {head.seq} of audit shard {head.shard} was rewritten"
    return None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What checkpoints say about a chain: arguments of `ChainVerifier`."""

    witnesses: tuple[Head, ...] = ()
    excused: tuple[Head, ...] = ()
    seals: tuple[Seal, ...] = ()


def evidence(
    checkpoints: Sequence[Checkpoint], *, timeline: int, left: Mapping[int, int]
) -> Evidence:
    """Sort what must be in the chain from what a failover may have lost.

    Args:
        checkpoints: the oldest first.
        timeline: that the primary is on now.
        left: where each earlier timeline was left for the next (its history file). A
            checkpoint of a timeline that is not known to be one of these must hold.
    """
    holding = [c for c in checkpoints if _holds(c, timeline, left)]
    doubtful = [c for c in checkpoints if not _holds(c, timeline, left)]
    # Every head, not each shard's newest: that of a chain that was rewritten and then
    # grew links to what was forged. What was seen first of a place counts.
    witnesses: dict[tuple[int, int], Head] = {}
    for checkpoint in holding:
        for head in checkpoint.heads:
            witnesses.setdefault((head.shard, head.seq), head)
    excused: dict[tuple[int, int], Head] = {}
    for checkpoint in doubtful:
        for head in checkpoint.heads:
            excused[checkpoint.timeline, head.shard] = head
    seals: dict[date, Seal] = {}
    for checkpoint in holding:
        for seal in checkpoint.seals:
            seals.setdefault(seal.period, seal)
    return Evidence(
        tuple(witnesses.values()), tuple(excused.values()), tuple(seals.values())
    )


def longest_gap(checkpoints: Sequence[Checkpoint]) -> timedelta:
    """Return the longest time between two checkpoints in a row."""
    times = [checkpoint.at for checkpoint in checkpoints]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return max(gaps, default=timedelta())


def _holds(checkpoint: Checkpoint, timeline: int, left: Mapping[int, int]) -> bool:
    if checkpoint.timeline == timeline:
        return True
    end = left.get(checkpoint.timeline)
    return end is None or checkpoint.lsn <= end


def _from_head(head: Head) -> list[object]:
    return [head.shard, head.seq, head.hash.hex()]


def _to_head(shard: int, seq: int, digest: str) -> Head:
    return Head(int(shard), int(seq), bytes.fromhex(digest))


def _from_date(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
