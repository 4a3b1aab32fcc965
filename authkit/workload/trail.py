"""The audit trail of a world: who granted what, who was disabled, who looked.

Entries go through `authkit.audit_append`, the one door, so their hashes are chained and
their `recorded_at` is the server's clock; `occurred_at` is the simulated time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import psycopg

from authkit.relational.canonical import canonical
from authkit.schema.audit import AUDIT_SHARDS
from authkit.workload.population import DAY_US, Person

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH = 500
_PER_ADMIN = 6


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

    def document(self) -> bytes:
        """Return the canonical JSON that is hashed."""
        at = _EPOCH + timedelta(microseconds=self.at_us)
        return canonical(
            {
                "action": self.action,
                "actor": self.actor,
                "after": self.after,
                "before": self.before,
                "details": {"source": "authkit.workload"},
                "ip": self.ip,
                "occurred_at": at.isoformat(timespec="milliseconds"),
                "outcome": self.outcome,
                "target": self.target,
            }
        )


def _name(person: Person) -> str:
    return f"user:{UUID(bytes=person.id)}"


def events(
    rng: Random, people: Sequence[Person], *, start_us: int, days: int
) -> list[Event]:
    """Return what happened within the world's days, in order of time."""
    end_us = start_us + days * DAY_US
    admins = [p for p in people if p.role == "admin"]
    made = list(_grants(people, admins, start_us))
    for admin in admins:
        for _ in range(_PER_ADMIN):
            at_us = start_us + int(rng.random() * days * DAY_US)
            if at_us > admin.created_us:
                made.append(_routine(rng, admin, people, at_us))
    if len(people) > 1:
        made.extend(_incident(rng, people, end_us))
    made = [event for event in made if event.at_us < end_us]
    return sorted(made, key=lambda event: event.at_us)


def _grants(
    people: Sequence[Person], admins: Sequence[Person], start_us: int
) -> Iterator[Event]:
    for person in people:
        if person.role == "user" or person.created_us < start_us:
            continue  # what was granted before the world began is not in its trail
        granter = granter_of(person, admins)
        yield Event(
            person.created_us,
            "system:setup" if granter is None else _name(granter),
            "role.grant",
            _name(person),
            "succeeded",
            {"roles": ["user"]},
            {"roles": ["user", person.role]},
            None if granter is None else granter.lines["home"].address or None,
        )


def granter_of(person: Person, admins: Sequence[Person]) -> Person | None:
    """Return the admin who granted somebody's role, None where it was the system."""
    older = [a for a in admins if a.created_us < person.created_us]
    return older[person.index % len(older)] if older else None


def _routine(rng: Random, admin: Person, people: Sequence[Person], at_us: int) -> Event:
    target = people[int(rng.random() * len(people))]
    choice = rng.random()
    action, outcome = "session.revoke", "succeeded"
    before: dict[str, object] | None = None
    after: dict[str, object] | None = None
    if choice < 0.25:
        action = "user.disable"
        before, after = {"disabled": False}, {"disabled": True}
    elif choice < 0.45:
        action = "credential.retire"
    elif choice < 0.55:
        action, outcome = "user.erase", "denied"
    return Event(
        at_us,
        _name(admin),
        action,
        _name(target),
        outcome,
        before,
        after,
        admin.lines["home"].address or None,
    )


def _incident(rng: Random, people: Sequence[Person], end_us: int) -> Iterator[Event]:
    """A story to find: at night an account makes itself admin and covers its tracks."""
    thief = people[len(people) // 2]
    at_us = end_us - int((1.0 + rng.random()) * DAY_US)
    at_us -= at_us % DAY_US - 3 * 3_600_000_000  # three o'clock, UTC
    address = "240.255.13.37"
    steps: tuple[tuple[str, str, Person, dict[str, object] | None], ...] = (
        ("role.grant", "denied", thief, None),
        ("role.grant", "denied", thief, None),
        ("role.grant", "succeeded", thief, {"roles": ["user", "admin"]}),
        ("user.disable", "succeeded", people[0], {"disabled": True}),
        ("role.revoke", "succeeded", thief, {"roles": ["user"]}),
    )
    for action, outcome, target, after in steps:
        yield Event(
            at_us, _name(thief), action, _name(target), outcome, None, after, address
        )
        at_us += int((40.0 + 120.0 * rng.random()) * 1_000_000)


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
