"""Attempts recorded without waiting for the disk: for callers who ask for it.

The setting is the transaction's own, so that inside somebody else's the durable
statement runs instead (PostgreSQL documentation, section 28.4, "Asynchronous Commit").
"""

from __future__ import annotations

from typing import Final

from authkit.hot.attempts import RECORD, AttemptKey
from authkit.hot.operation import AnyOperation, Durability, Intent, Operation

RECORD_RELAXED: Final = Operation(
    name="attempts.record_relaxed",
    sql="""
    INSERT INTO authkit.auth_attempts (
      occurred_at, id, subject_hash, user_id, ip, asn, country, user_agent,
      device_fingerprint, session_id, client_id, stage, method, outcome,
      failure_reason, risk_score, risk_model, risk_model_version, risk_features)
    SELECT coalesce($1, clock_timestamp()), $2, $3, $4, $5, $6, $7, $8,
           $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
    FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed
    RETURNING occurred_at, id
    """,
    parameters=RECORD.parameters,
    types=RECORD.types,
    row=AttemptKey,
    intent=Intent.WRITE,
    idempotent=False,
    durability=Durability.RELAXED,
    within=RECORD,
)

OPERATIONS: Final[tuple[AnyOperation, ...]] = (RECORD_RELAXED,)
