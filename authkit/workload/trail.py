"""The audit trail of a world: who granted what, who was disabled, who looked.

Entries go through `authkit.audit_append`, the one door, so their hashes are chained and
their `recorded_at` is the server's clock; `occurred_at` is the simulated time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import psycopg

from authkit.relational.canonical import canonical
from authkit.schema.audit import AUDIT_SHARDS
from authkit.workload.organisation import Granted, Held, LetGo, Organisation
from authkit.workload.population import DAY_US, Person

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH = 500
_OVERREACHES = 0.3  # of the moderators, once


@dataclass(frozen=True, slots=True)
class Event:
    """Something that somebody with rights did."""

    at_us: int
    actor: str
    action: str
    target: str
    outcome: str
    before: dict[str, object] | None
    after: dict[str, object] | None
    ip: str | None
    details: dict[str, object] = field(default_factory=dict[str, object])

    def document(self) -> bytes:
        """Return the canonical JSON that is hashed."""
        at = _moment(self.at_us)
        return canonical(
            {
                "action": self.action,
                "actor": self.actor,
                "after": self.after,
                "before": self.before,
                "details": {"source": "authkit.workload", **self.details},
                "ip": self.ip,
                "occurred_at": at.isoformat(timespec="milliseconds"),
                "outcome": self.outcome,
                "target": self.target,
            }
        )


def _moment(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)


def _name(person: Person) -> str:
    return f"user:{UUID(bytes=person.id)}"


@dataclass(frozen=True, slots=True)
class Stolen:
    """A stolen session that was found and ended."""

    at_us: int
    person: int
    session_id: bytes


class Told:
    """What the trail tells of an organisation: gathered while its rows are written.

    What was done before the world began is not in its trail.
    """

    def __init__(self, house: Organisation) -> None:
        self._house = house
        self._made: list[Event] = []

    def granted(self, one: Granted) -> Granted:
        """Tell of a grant, and give it back; that a user is one is told nowhere."""
        if one.role != "user" and self._house.during(one.at_us):
            until = one.until_us
            after = ["user", one.role]
            details: dict[str, object] = {
                "role": one.role,
                "change": "added",
                "expires_at": None if until is None else _moment(until).isoformat(),
            }
            roles: tuple[dict[str, object], ...] = (
                {"roles": ["user"]},
                {"roles": after},
            )
            system = "system:setup" if one.role == "admin" else "system:directory"
            self._tell(
                one.at_us, one.by or system, "role.grant", one.person, details, *roles
            )
        return one

    def let_go(self, one: LetGo) -> int:
        """Tell of a disabled account; returns when."""
        if one.by is not None:
            self._tell(
                one.at_us,
                one.by,
                "user.disable",
                one.person,
                {"reason": "left", "sessions_ended": 0},
                {"disabled": False},
                {"disabled": True},
            )
        return one.at_us

    def held(self, one: Held) -> Held:
        """Tell of a key that was registered or retired, and give it back."""
        person = one.person
        details: dict[str, object] = {"synced": one.synced}
        if self._house.during(one.at_us):
            self._tell(one.at_us, person, "credential.register", person, details)
        if one.retired_us is not None and self._house.during(one.retired_us):
            self._tell(one.retired_us, person, "credential.retire", person, details)
        return one

    def events(
        self, rng: Random, people: Sequence[Person], found: Sequence[Stolen]
    ) -> list[Event]:
        """Return everything in order of time, the incident included."""
        house = self._house
        for one in found:
            guard = house.guard_at(one.at_us) or "system:risk"
            self._tell(
                one.at_us,
                guard,
                "session.revoke",
                people[one.person],
                {"session": str(UUID(bytes=one.session_id)), "reason": "compromised"},
            )
        for moderator in house.moderators:
            # They look after users, but only an admin may erase one.
            at_us = house.start_us + int(rng.random() * house.span_us)
            target = people[int(rng.random() * len(people))]
            known_us = max(moderator.created_us, target.created_us)
            if known_us < at_us and rng.random() < _OVERREACHES:
                self._tell(at_us, moderator, "user.erase", target, outcome="denied")
        if len(people) > 1:
            self._made.extend(_incident(rng, house, people[0]))
        made = [event for event in self._made if house.during(event.at_us)]
        return sorted(made, key=lambda event: event.at_us)

    def _tell(
        self,
        at_us: int,
        actor: Person | str,
        action: str,
        target: Person,
        details: dict[str, object] | None = None,
        before: dict[str, object] | None = None,
        after: dict[str, object] | None = None,
        *,
        outcome: str = "succeeded",
    ) -> None:
        system = isinstance(actor, str)
        self._made.append(
            Event(
                at_us,
                actor if system else _name(actor),
                action,
                _name(target),
                outcome,
                before,
                after,
                None if system else actor.lines["home"].address or None,
                details or {},
            )
        )


def _incident(rng: Random, house: Organisation, first: Person) -> Iterator[Event]:
    """A story to find: at night an account makes itself admin and covers its tracks."""
    thief, end_us = house.thief, house.start_us + house.span_us
    at_us = end_us - int((1.0 + rng.random()) * DAY_US)
    at_us -= at_us % DAY_US - 3 * 3_600_000_000  # three o'clock, UTC
    address = "240.255.13.37"
    steps: tuple[tuple[str, str, Person, dict[str, object] | None], ...] = (
        ("role.grant", "denied", thief, None),
        ("role.grant", "denied", thief, None),
        ("role.grant", "succeeded", thief, {"roles": ["user", "admin"]}),
        ("user.disable", "succeeded", first, {"disabled": True}),
        ("role.revoke", "succeeded", thief, {"roles": ["user"]}),
    )
    for action, outcome, target, after in steps:
        yield Event(
            at_us, _name(thief), action, _name(target), outcome, None, after, address
        )
        at_us += int((40.0 + 120.0 * rng.random()) * 1_000_000)
    # Whoever was shut out is let in again: nobody is disabled by it for good.
    yield Event(
        at_us + 3_600_000_000,
        "system:operator",
        "user.enable",
        _name(first),
        "succeeded",
        {"disabled": True},
        {"disabled": False},
        None,
    )


def append(connection: psycopg.Connection, made: Sequence[Event], *, seed: int) -> int:
    """Append events to one shard, as the last thing of a transaction."""
    shard = seed % AUDIT_SHARDS
    documents = [event.document() for event in made]
    for first in range(0, len(documents), _BATCH):
        connection.execute(
            "SELECT authkit.audit_append(%s, entry.document)"
            " FROM unnest(%s::bytea[]) WITH ORDINALITY AS entry (document, place)"
            " ORDER BY entry.place",
            (shard, documents[first : first + _BATCH]),
        )
    return len(documents)
