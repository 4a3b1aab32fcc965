"""What must hold of the audit chain, in SQL: hashes, links, numbers and heads.

The layout of the hash is written down in `authkit.schema.audit`. A chain whose old
partitions were dropped begins after entry 1 (`pruned`); elsewhere that is a gap.
"""

from __future__ import annotations

from typing import Final

from authkit.ops.fsck.invariant import Invariant

CHAIN: Final = (
    Invariant(
        "chain_hash",
        "Every audit entry has the hash of its bytes.",
        r"""
        SELECT format('shard %%s entry %%s', shard, seq) FROM authkit.audit_logs
         WHERE hash <> sha256('\x617574686b69742f61756469742f3100'::bytea
               || int4send(shard::integer) || int8send(seq)
               || int8send((extract(epoch FROM recorded_at) * 1000000)::bigint)
               || prev_hash || canonical)
        """,
        "the entry was edited: compare with a backup and with heads kept elsewhere",
    ),
    Invariant(
        "chain_link",
        "Every audit entry continues the one before it, and none is missing.",
        r"""
        SELECT format('shard %%s entry %%s', shard, seq) FROM (
          SELECT shard, seq, prev_hash,
                 lag(seq) OVER chain AS before, lag(hash) OVER chain AS hash_before
            FROM authkit.audit_logs WINDOW chain AS (PARTITION BY shard ORDER BY seq)
        ) AS entry
         WHERE CASE WHEN before IS NOT NULL
               THEN before <> seq - 1 OR hash_before <> prev_hash
               WHEN seq = 1 THEN prev_hash <> decode(repeat('00', 32), 'hex')
               ELSE NOT %(pruned)s::boolean END
        """,
        "entries are missing or were forged: compare with a backup and with heads kept"
        " elsewhere; where old partitions were dropped on purpose, say --pruned",
    ),
    Invariant(
        "chain_head",
        "The head of every audit shard is its last entry.",
        r"""
        SELECT format('shard %%s', coalesce(h.shard, e.shard))
          FROM authkit.audit_chain_heads AS h
          FULL JOIN (SELECT DISTINCT ON (shard) shard, seq, hash
                       FROM authkit.audit_logs ORDER BY shard, seq DESC) AS e
            ON e.shard = h.shard
         WHERE h.shard IS NULL
            OR h.seq <> coalesce(e.seq, CASE WHEN %(pruned)s::boolean
                                             THEN h.seq ELSE 0 END)
            OR (e.seq IS NOT NULL AND h.hash <> e.hash)
        """,
        "entries at the end are missing, or the head was moved: compare with a backup",
    ),
)
