"""The audit trail: append, read, verify.

`append` keeps an event for the end of the transaction (see `journal`), so that it
commits or vanishes with the change it tells of. A denied action changes nothing: its
event belongs into a unit of work of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from secrets import randbelow
from typing import cast
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import Session

from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.hot.keyless import no_keys
from authkit.relational import verification, witnessing
from authkit.relational.chain import ChainVerifier, Head, Verification
from authkit.relational.checkpoint import Checkpoint, Evidence
from authkit.relational.checkpoint import evidence as sort_evidence
from authkit.relational.event import AuditEvent
from authkit.relational.inclusion import Inclusion, prove
from authkit.relational.journal import Journal
from authkit.relational.subjects import Subjects
from authkit.schema.audit import AUDIT_SHARDS
from authkit.schema.columns import JsonObject
from authkit.schema.relational import AuditChainHead, AuditLog
from authkit.schema.vocabulary import AuditOutcome

# All events of a transaction in one statement, in order, on one shard.
APPEND = text("""
    SELECT entry.seq, entry.recorded_at, entry.hash
    FROM unnest(CAST(:events AS bytea[])) WITH ORDINALITY AS event (canonical, place)
    CROSS JOIN LATERAL authkit.audit_append(:shard, event.canonical) AS entry
    ORDER BY event.place
""")


NO_EVIDENCE = Evidence()
# Where an entry's details hold what was sealed for its subject.
PERSONAL = "personal"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an event was appended; keep it elsewhere to prove that it was."""

    shard: int
    seq: int
    recorded_at: datetime
    hash: bytes


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the trail as it is read; (recorded_at, shard, seq) is its place."""

    recorded_at: datetime
    shard: int
    seq: int
    actor: str
    action: str
    target: str | None
    outcome: str
    before: JsonObject | None
    after: JsonObject | None
    details: JsonObject
    ip: IPv4Address | IPv6Address | None
    user_agent: str | None
    correlation_id: str | None
    occurred_at: datetime | None


class Audit:
    """The audit trail, within one transaction."""

    def __init__(
        self, session: Session, journal: Journal, subjects: Subjects | None = None
    ) -> None:
        self._session = session
        self._journal = journal
        self._subjects = subjects or Subjects(session, no_keys)
        self._receipts: tuple[Receipt, ...] = ()

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """Where this transaction's events were written; none before `write`."""
        return self._receipts

    def append(
        self,
        action: str,
        *,
        actor: str | None = None,
        target: str | None = None,
        outcome: AuditOutcome = "succeeded",
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        details: Mapping[str, object] | None = None,
        personal: Mapping[str, object] | None = None,
        subject: UUID | None = None,
        occurred_at: datetime | None = None,
    ) -> AuditEvent:
        """Say what happened; it is written as the last thing before the commit.

        Args:
            action: a lower-case name, e.g. `invoice.approve`.
            actor: `kind:id`; whom the unit of work was opened for by default.
            target: `kind:id` of what was acted on.
            outcome: succeeded, failed or denied.
            before: what it was, as JSON.
            after: what it became.
            details: anything else; no personal detail, the chain keeps every byte.
            personal: details that are sealed with the key of `subject` and become
                unreadable when the subject is erased; `personal_details` opens them.
            subject: whom they are about.
            occurred_at: when it happened, if that is not now.

        Raises:
            InvalidInput: a part has the wrong shape, is no JSON or is too large; or
                one of `personal` and `subject` came without the other.
            ConfigError: there is no ring to seal personal details under.
        """
        origin = self._journal.origin
        if (personal is None) != (subject is None):
            raise InvalidInput("personal details and their subject go together")
        if personal is not None and subject is not None:
            sealed = self._subjects.seal(subject, personal, context=action)
            details = {**(details or {}), PERSONAL: sealed}
        event = AuditEvent(
            actor=actor or origin.actor,
            action=action,
            outcome=outcome,
            target=target,
            before=before,
            after=after,
            details=details or {},
            ip=origin.ip,
            user_agent=origin.user_agent,
            correlation_id=origin.correlation_id,
            occurred_at=occurred_at,
        )
        self._journal.add(event)
        return event

    def personal_details(self, entry: AuditEntry) -> dict[str, object] | None:
        """Return what was sealed in an entry; None if nothing, or it was erased.

        Raises:
            InvalidInput: it was damaged, or is another entry's.
            ConfigError: the key that sealed it is not in the ring.
        """
        sealed = entry.details.get(PERSONAL)
        if not isinstance(sealed, dict):
            return None
        envelope = cast("dict[str, object]", sealed)
        return self._subjects.open(envelope, context=entry.action)

    def write(self) -> None:
        """Append what was gathered; the unit of work calls it before its commit.

        The shard is drawn by lot: appenders to different shards do not wait for each
        other.
        """
        events = self._journal.take()
        if not events:
            return
        shard = randbelow(AUDIT_SHARDS)
        written = self._session.execute(
            APPEND, {"shard": shard, "events": [e.canonical() for e in events]}
        )
        self._receipts = tuple(
            Receipt(shard, seq, recorded_at, entry_hash)
            for seq, recorded_at, entry_hash in written
        )

    def trail(
        self,
        *,
        actor: str | None = None,
        target: str | None = None,
        action: str | None = None,
        correlation_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: AuditEntry | None = None,
        limit: int = 100,
    ) -> list[AuditEntry]:
        """Return entries, the newest first, in pages: hand the last one back.

        Args:
            actor: who acted, `kind:id`.
            target: what was acted on, `kind:id`.
            action: what was done.
            correlation_id: of the request.
            since: recorded at this time or later.
            until: recorded before this time.
            before: the last entry of the page before.
            limit: of the page, 1 to 1,000.

        Raises:
            InvalidInput: a time has no zone, or the limit is out of range.
        """
        place = tuple_(AuditLog.recorded_at, AuditLog.shard, AuditLog.seq)
        statement = (
            select(
                AuditLog.recorded_at,
                AuditLog.shard,
                AuditLog.seq,
                AuditLog.actor,
                AuditLog.action,
                AuditLog.target,
                AuditLog.outcome,
                AuditLog.before,
                AuditLog.after,
                AuditLog.details,
                AuditLog.ip,
                AuditLog.user_agent,
                AuditLog.correlation_id,
                AuditLog.occurred_at,
            )
            .order_by(
                AuditLog.recorded_at.desc(), AuditLog.shard.desc(), AuditLog.seq.desc()
            )
            .limit(inputs.count(limit, "limit", low=1, high=1000))
        )
        for column, wanted in (
            (AuditLog.actor, actor),
            (AuditLog.target, target),
            (AuditLog.action, action),
            (AuditLog.correlation_id, correlation_id),
        ):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if since is not None:
            start = inputs.moment(since, "start")
            statement = statement.where(AuditLog.recorded_at >= start)
        if until is not None:
            end = inputs.moment(until, "end")
            statement = statement.where(AuditLog.recorded_at < end)
        if before is not None:
            last = (before.recorded_at, before.shard, before.seq)
            statement = statement.where(place < last)
        return [AuditEntry(*row) for row in self._session.execute(statement)]

    def verify(
        self,
        *,
        pruned: bool = False,
        witnesses: Iterable[Head] = (),
        evidence: Evidence = NO_EVIDENCE,
        progress: Callable[[int], None] | None = None,
    ) -> Verification:
        """Check every link, stopping at the first that is broken.

        Entries stream, so memory does not grow with their number.

        Args:
            pruned: old partitions were dropped, so shards may begin after entry 1.
            witnesses: heads kept elsewhere (`Verification.heads`): without them
                nobody can tell a chain that was cut off together with its head.
            evidence: of signed checkpoints (`evidence`): the better witnesses.
            progress: called now and then with how many entries were checked.
        """
        kept = (*evidence.witnesses, *witnesses)
        return verification.verify(
            self._session,
            lambda: ChainVerifier(
                pruned=pruned,
                witnesses=kept,
                excused=evidence.excused,
                seals=evidence.seals,
            ),
            progress,
        )

    def heads(self) -> tuple[Head, ...]:
        """Return where each shard ends now."""
        columns = (AuditChainHead.shard, AuditChainHead.seq, AuditChainHead.hash)
        rows = self._session.execute(select(*columns).order_by(AuditChainHead.shard))
        return tuple(Head(*row) for row in rows)

    def checkpoint(self, previous: Checkpoint | None = None) -> Checkpoint:
        """Return what a checkpoint says of the trail as it is; sign and keep it.

        On the primary. `authkit.relational.checkpoint_log` keeps it in a file.

        Args:
            previous: the checkpoint before it, which months were sealed with.
        """
        return witnessing.observe(self._session, previous)

    def evidence(
        self,
        checkpoints: Sequence[Checkpoint],
        *,
        left: Mapping[int, int] | None = None,
    ) -> Evidence:
        """Say what checkpoints prove about the trail on this server, the primary.

        Args:
            checkpoints: the oldest first, their signatures checked.
            left: where each earlier timeline was left, from the server's history file;
                read there if this role may. Unknown, a loss by failover shows as
                tampering.
        """
        if not checkpoints:
            return NO_EVIDENCE
        timeline = witnessing.current_timeline(self._session)
        if left is None:
            left = witnessing.timelines_left(self._session, timeline) or {}
        return sort_evidence(checkpoints, timeline=timeline, left=left)

    def prove(self, entry: Receipt | AuditEntry) -> Inclusion:
        """Prove that an entry is one of its month's, to whoever holds the seal.

        Raises:
            NotFound: the entry is not there, or its month was dropped.
        """
        return prove(self._session, entry.shard, entry.seq, entry.recorded_at)
