"""The audit chain as values: read once, then checked, or forged to see it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from authkit.errors import InvalidInput
from authkit.relational.chain import Entry, Head, Verification, verify
from authkit.relational.faithful import COLUMNS

if TYPE_CHECKING:
    from authkit.analysis.frames import Frames

# One statement, so that entries and heads are of one moment.
_CHAIN = """
SELECT h.shard AS head_shard, h.seq AS head_seq, h.hash AS head_hash,
    e.period, e.shard, e.seq, e.recorded_at, e.prev_hash, e.hash, e.canonical,
    e.actor, e.action, e.target, e.outcome, e.before, e.after, e.details, e.ip,
    e.user_agent, e.correlation_id, e.occurred_at
FROM authkit.audit_chain_heads AS h
LEFT JOIN authkit.audit_logs AS e ON e.shard = h.shard
ORDER BY e.period, e.shard, e.seq
"""
_ENOUGH = 3


@dataclass(frozen=True, slots=True)
class Chain:
    """Entries in order and the heads that say where each shard ends."""

    entries: tuple[Entry, ...]
    heads: tuple[Head, ...]

    def __repr__(self) -> str:
        return f"Chain({len(self.entries):,} entries, {len(self.heads)} shards)"

    def verify(
        self, *, pruned: bool = False, witnesses: Iterable[Head] = ()
    ) -> Verification:
        """Check every link; with heads that were kept elsewhere, the end as well.

        Args:
            pruned: old partitions were dropped on purpose: it may begin in the middle.
            witnesses: heads of earlier times, kept where the server's owner could not
                change them; without them, nothing shows an end that was cut off
                together with its head.

        Returns:
            Whether it holds, and the first place where it does not; nothing is raised.
        """
        return verify(self.entries, self.heads, pruned=pruned, witnesses=witnesses)


def read_chain(frames: Frames) -> Chain:
    """Read the whole chain; for one that does not fit, `uow.audit.verify()` streams.

    Raises:
        InvalidInput: the frames are masked, and what is hashed is never shown masked.
        NotPermitted: the role may not read the trail in clear.
    """
    if frames.masked:
        raise InvalidInput(
            "the chain is over clear bytes: read it with frames.clear and a role that"
            " may, e.g. the application's"
        )
    found = frames.query(_CHAIN)
    rows: list[dict[str, Any]] = [
        dict(zip(found.columns, values, strict=True))
        for values in found.itertuples(index=False, name=None)
    ]
    heads = {
        int(row["head_shard"]): Head(
            int(row["head_shard"]), int(row["head_seq"]), row["head_hash"]
        )
        for row in rows
    }
    entries = tuple(_entry(row) for row in rows if not pd.isna(row["seq"]))
    return Chain(entries, tuple(heads[shard] for shard in sorted(heads)))


def forgeries(chain: Chain) -> dict[str, Chain]:
    """Return copies of a chain, forged as somebody could who owns the server.

    The last one cuts off the end together with the head that says where the end is:
    no chain shows that by itself, a head that was kept elsewhere does.

    Raises:
        InvalidInput: no shard has three entries to forge one of.
    """
    counted = Counter(entry.shard for entry in chain.entries).most_common(1)
    if not counted or counted[0][1] < _ENOUGH:
        raise InvalidInput(
            "the chain is too short to forge: one shard must have three entries;"
            " `authkit db seed` makes a trail"
        )
    shard = counted[0][0]
    places = [at for at, entry in enumerate(chain.entries) if entry.shard == shard]
    at, end, earlier = places[len(places) // 2], places[-1], chain.entries[places[-2]]
    entry = chain.entries[at]
    heads = tuple(
        replace(head, seq=earlier.seq, hash=earlier.hash)
        if head.shard == shard
        else head
        for head in chain.heads
    )
    renamed = replace(entry, columns={**entry.columns, "actor": "user:nobody"})
    rewritten = replace(entry, canonical=entry.canonical.replace(b"actor", b"actr"))
    return {
        "the actor's name changed": _instead(chain, at, renamed),
        "the bytes rewritten": _instead(chain, at, rewritten),
        "an entry removed": _instead(chain, at),
        "the end cut off, head and all": replace(_instead(chain, end), heads=heads),
    }


def _instead(chain: Chain, at: int, *entries: Entry) -> Chain:
    before, after = chain.entries[:at], chain.entries[at + 1 :]
    return replace(chain, entries=(*before, *entries, *after))


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(
        period=row["period"].date(),
        shard=int(row["shard"]),
        seq=int(row["seq"]),
        recorded_at=row["recorded_at"].to_pydatetime(),
        prev_hash=row["prev_hash"],
        hash=row["hash"],
        canonical=row["canonical"],
        columns={name: _told(row[name]) for name in COLUMNS},
    )


def _told(value: Any) -> object:
    if isinstance(value, dict):
        return value  # pyright: ignore[reportUnknownVariableType] # jsonb, of any shape
    if pd.isna(value):
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
