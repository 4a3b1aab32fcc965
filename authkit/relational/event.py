"""What is written into the audit trail: one event, in its canonical bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from authkit.errors import InvalidInput
from authkit.hot import inputs
from authkit.relational.canonical import canonical
from authkit.schema.vocabulary import AUDIT_OUTCOMES, AuditOutcome

MAX_EVENT_BYTES = 1_048_576

_ENTITY = re.compile(r"[a-z_]{1,30}:.{1,200}", re.DOTALL)
_ACTION = re.compile(r"[a-z][a-z0-9_.:-]{0,99}", re.ASCII)


def entity(kind: str, key: UUID | str) -> str:
    """Write who acted, or on what: `entity("user", id)` is `user:0199...`.

    Raises:
        InvalidInput: the kind is not lower-case letters, or the key is empty or long.
    """
    name = f"{kind}:{key}"
    _check_entity(name, "name of an actor or target")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Who did what to whom, and how it ended.

    `actor` and `target` are `kind:id`; put no personal detail into them, nor into
    `before`, `after` and `details`: the chain keeps every byte for as long as it
    lives. `occurred_at` is for what happened at another time than it was recorded.

    Raises:
        InvalidInput: a part has the wrong shape, is no JSON or is too large.
    """

    actor: str
    action: str
    outcome: AuditOutcome = "succeeded"
    target: str | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    details: Mapping[str, object] = field(default_factory=dict[str, object])
    ip: inputs.Address | None = None
    user_agent: str | None = None
    correlation_id: str | None = None
    occurred_at: datetime | None = None

    def __post_init__(self) -> None:
        _check_entity(self.actor, "actor")
        if self.target is not None:
            _check_entity(self.target, "target")
        if _ACTION.fullmatch(self.action) is None:
            raise InvalidInput("the action is not a lower-case name like role.grant")
        if self.outcome not in AUDIT_OUTCOMES:
            raise InvalidInput("the outcome is not succeeded, failed or denied")
        if self.correlation_id is not None:
            inputs.text(self.correlation_id, "correlation id", limit=200)
        self.canonical()

    def canonical(self) -> bytes:
        """Return the bytes that the chain keeps: RFC 8785, absent parts left out."""
        occurred = self.occurred_at
        if occurred is not None:
            occurred = inputs.moment(occurred, "time of the event").astimezone(UTC)
        parts: dict[str, object] = {
            "actor": self.actor,
            "action": self.action,
            "outcome": self.outcome,
            "target": self.target,
            "before": self.before,
            "after": self.after,
            "details": self.details or None,
            "ip": inputs.optional_address(self.ip),
            "user_agent": inputs.user_agent(self.user_agent),
            "correlation_id": self.correlation_id,
            "occurred_at": None
            if occurred is None
            else occurred.isoformat(timespec="microseconds"),
        }
        written = canonical({k: v for k, v in parts.items() if v is not None})
        if len(written) > MAX_EVENT_BYTES:
            raise InvalidInput("the audit event is larger than one mebibyte")
        return written


def _check_entity(name: str, what: str) -> None:
    if _ENTITY.fullmatch(name) is None:
        raise InvalidInput(f"the {what} is not kind:id, like user:0199 or system:job")
