"""Audit events of one transaction, gathered until its end.

Appending locks the newest entry of a shard until the commit. Done last, nobody waits
for longer than a commit takes, and no lock is taken while that one is held: two
transactions cannot deadlock over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from authkit.errors import DatabaseError, InvalidInput
from authkit.hot.inputs import Address
from authkit.relational.event import AuditEvent
from authkit.schema.vocabulary import AuditOutcome


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts in a transaction and where from: written into each of its entries.

    Raises:
        InvalidInput: the trail cannot hold it.
    """

    actor: str = "system:authkit"
    ip: Address | None = None
    user_agent: str | None = None
    correlation_id: str | None = None

    def __post_init__(self) -> None:
        # Refused here, and not when something was done already that is to be told.
        self.event("origin.check")

    def event(
        self,
        action: str,
        *,
        target: str | None = None,
        outcome: AuditOutcome = "succeeded",
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        details: Mapping[str, object] | None = None,
    ) -> AuditEvent:
        """Make an event of this origin; nothing is written before it is recorded.

        Args:
            action: a lower-case name such as `role.grant`, at most 100 characters.
            target: what it was done to, as `kind:id`; None where it is of nobody.
            outcome: `succeeded`, `failed` or `denied`.
            before: what was there, as JSON can hold it; no secret, for it is kept.
            after: what is there now, likewise.
            details: what else a reader should know.

        Raises:
            InvalidInput: a part has the wrong shape, or JSON cannot hold it (RFC 8785).
        """
        return AuditEvent(
            actor=self.actor,
            action=action,
            outcome=outcome,
            target=target,
            before=before,
            after=after,
            details=details or {},
            ip=self.ip,
            user_agent=self.user_agent,
            correlation_id=self.correlation_id,
        )


class Journal:
    """The events of one transaction, in order, until they are appended."""

    __slots__ = ("_events", "origin")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._events: tuple[AuditEvent | None, ...] = ()

    @property
    def events(self) -> tuple[AuditEvent | None, ...]:
        """What waits to be appended; None stands for what cannot be told."""
        return self._events

    def add(self, event: AuditEvent) -> None:
        """Keep an event for the end of the transaction."""
        self._events = (*self._events, event)

    def record(
        self,
        action: str,
        *,
        target: str | None = None,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Make a succeeded event of the transaction's origin and keep it.

        Raises:
            InvalidInput: a part of it cannot be told. What was done is not to stand
                untold: unless it is rolled back to a savepoint, nothing commits.
        """
        try:
            event = self.origin.event(
                action, target=target, before=before, after=after, details=details
            )
        except InvalidInput:
            self._events = (*self._events, None)
            raise
        self.add(event)

    def forget_after(self, kept: int) -> None:
        """Keep the first events only: what the others tell of was rolled back."""
        self._events = self._events[:kept]

    def take(self) -> tuple[AuditEvent, ...]:
        """Return what waits and forget it.

        Raises:
            DatabaseError: something was done that cannot be told.
        """
        waiting, self._events = self._events, ()
        events = tuple(event for event in waiting if event is not None)
        if len(events) < len(waiting):
            raise DatabaseError("a change cannot be told in the trail; nothing is kept")
        return events
