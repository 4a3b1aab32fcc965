"""The organisation that the people of a world make up: teams, duties, who was let go.

Everything follows from the people and a stream of its own, so that a change here
changes no attempt. What happens within the world's days is in its trail as well, and
the rows agree with it: whoever was disabled there is disabled, whoever was granted a
role holds it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from random import Random
from typing import Final

from authkit.workload.legitimate import second_factor_of
from authkit.workload.names import KEY_NAMES, PHONE_NAMES
from authkit.workload.population import DAY_US, Person

CONTRACT_US: Final = 90 * DAY_US
DUTY_US: Final = 7 * DAY_US
_SWEPT_US: Final = 30 * DAY_US  # a grant that ended earlier is purged
_CONTRACTORS = 0.08  # of those without an office
_RENEWED = 0.8
_ON_CALL = 0.05  # of the engineers
_PASSKEYS = 0.08
_LOST = 0.06  # of keys and passkeys
_DORMANT_DISABLED = 0.2
_EACH_LETS_GO = 2  # users, whom an admin disables within the world
_TRIES = 12


_JOINED = attrgetter("created_us")


@dataclass(frozen=True, slots=True)
class Team:
    """A role that everybody of a team holds."""

    name: str
    description: str
    weight: int
    permissions: tuple[str, ...]


TEAMS: Final = (
    Team("engineering", "Builds it", 30, ("repository:write", "ticket:read")),
    Team("support", "Answers customers", 25, ("ticket:read", "ticket:update")),
    Team("sales", "Sells it", 25, ("customer:read", "customer:update")),
    Team("finance", "Pays and is paid", 12, ("invoice:read", "invoice:approve")),
    Team("people", "Hires and pays staff", 8, ("payroll:read", "user:read")),
)
CONTRACTOR: Final = Team("contractor", "For one quarter", 0, ("repository:write",))
ON_CALL: Final = Team(
    "on-call", "Runs it this week", 0, ("deployment:run", "session:revoke")
)
_OFFICE_HOURS = {"start": "07:00", "end": "19:00", "days": [1, 2, 3, 4, 5]}
PERMISSIONS: Final[Mapping[str, tuple[str, dict[str, object]]]] = {
    "repository:write": ("Change source code", {}),
    "deployment:run": ("Put a release into service", {}),
    "ticket:read": ("See what customers ask", {}),
    "ticket:update": ("Answer one's own tickets", {"owner": "assignee_id"}),
    "customer:read": ("See customers", {}),
    "customer:update": ("Change customers", {}),
    "invoice:read": ("See invoices", {}),
    "invoice:approve": (
        "Approve invoices in office hours",
        {"window": {**_OFFICE_HOURS, "zone": "Europe/Oslo"}},
    ),
    "payroll:read": ("See what staff is paid", {}),
}


@dataclass(frozen=True, slots=True)
class Granted:
    """That somebody holds a role, by whom and until when; None: the directory."""

    person: Person
    role: str
    by: Person | None
    at_us: int
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A security key or a passkey; nobody has the private key of it."""

    person: Person
    synced: bool
    name: str
    at_us: int
    used_us: int | None
    retired_us: int | None


@dataclass(frozen=True, slots=True)
class LetGo:
    """That an account was disabled, and by whom; None: before the world began."""

    person: Person
    by: Person | None
    at_us: int


class Organisation:
    """What the people of a world hold.

    Args:
        rng: a stream of its own.
        people: of the world.
        start_us: when the world begins.
        end_us: when it ends.
    """

    def __init__(
        self, rng: Random, people: Sequence[Person], *, start_us: int, end_us: int
    ) -> None:
        self._rng = rng
        self._people = people
        self.start_us = start_us
        self.span_us = end_us - start_us
        self._end_us = end_us
        self.admins = sorted((p for p in people if p.role == "admin"), key=_JOINED)
        # Whose account the trail has a story of.
        self.thief = people[len(people) // 2]
        self.moderators = sorted(
            (p for p in people if p.role == "moderator"), key=_JOINED
        )

    def during(self, at_us: int) -> bool:
        """Tell whether a moment is one of the world's."""
        return self.start_us <= at_us < self._end_us

    def granter_of(self, person: Person, at_us: int) -> Person | None:
        """Return the admin who granted somebody's role, None where it was nobody."""
        there = _before(self.admins, at_us)
        if not there:
            return None
        chosen = person.index % there
        if self.admins[chosen] is person:
            # Nobody grants a role to themselves.
            return self.admins[chosen - 1] if there > 1 else None
        return self.admins[chosen]

    def guard_at(self, at_us: int) -> Person | None:
        """Return somebody who was there at a moment and may end sessions."""
        for those in (self.moderators, self.admins):
            if there := _before(those, at_us):
                return those[int(self._rng.random() * there)]
        return None

    def grants(self) -> Iterator[Granted]:
        """Yield what everybody holds: a role, a team, a duty for a time."""
        rng = self._rng
        for person in self._people:
            joined = person.created_us
            yield Granted(person, "user", None, joined)
            if person.role != "user":
                by = self.granter_of(person, joined)
                yield Granted(person, person.role, by, joined)
            if "work" in person.lines:
                team = _team(rng.random())
                yield Granted(person, team.name, None, joined)
                if team.name == "engineering" and rng.random() < _ON_CALL:
                    yield from self._duty(person)
            elif rng.random() < _CONTRACTORS:
                yield from self._contract(person)

    def held(self, last: Mapping[int, tuple[int, str]]) -> Iterator[Held]:
        """Yield keys and passkeys.

        Args:
            last: when and where everybody signed in last.
        """
        rng = self._rng
        for person in self._people:
            key = person.mfa and second_factor_of(person) == "webauthn"
            if not key and rng.random() >= _PASSKEYS:
                continue
            names = KEY_NAMES if key else PHONE_NAMES
            at_us = self._between(person.created_us, self._end_us, 0.3)
            # Attempts show second factors by key; a passkey waits to be used.
            seen = last.get(person.index, (0, ""))[0] if key else 0
            used_us = seen if seen > at_us else None
            lost_us = self._between(max(at_us, used_us or 0), self._end_us)
            yield Held(
                person=person,
                synced=not key,
                name=names[int(rng.random() * len(names))],
                at_us=at_us,
                used_us=used_us,
                retired_us=lost_us if rng.random() < _LOST else None,
            )

    def let_go(self, last: Mapping[int, tuple[int, str]]) -> list[LetGo]:
        """Return whose accounts are disabled: nobody who was here in the world's days.

        Args:
            last: when and where everybody signed in last.
        """
        rng = self._rng
        gone = {
            p.index: LetGo(p, None, self._between(p.created_us, self.start_us))
            for p in self._people
            if p.dormant
            and p is not self.thief
            and p.role == "user"
            and p.index not in last
            and rng.random() < _DORMANT_DISABLED
        }
        for admin in self.admins:
            left = _EACH_LETS_GO
            for _ in range(_EACH_LETS_GO * _TRIES):
                at_us = self._between(self.start_us, self._end_us)
                person = self._people[int(rng.random() * len(self._people))]
                taken = person.index in gone or person.index in last
                taken = taken or person is self.thief
                known_us = max(admin.created_us, person.created_us)
                if left and person.role == "user" and not taken and known_us < at_us:
                    gone[person.index] = LetGo(person, admin, at_us)
                    left -= 1
        return list(gone.values())

    def _duty(self, person: Person) -> Iterator[Granted]:
        at_us = max(person.created_us, self._end_us - int(self._rng.random() * DUTY_US))
        by = self.granter_of(person, at_us)
        yield Granted(person, ON_CALL.name, by, at_us, at_us + DUTY_US)

    def _contract(self, person: Person) -> Iterator[Granted]:
        quarters = (self._end_us - person.created_us) // CONTRACT_US
        if quarters and self._rng.random() >= _RENEWED:
            quarters -= 1
        at_us = person.created_us + quarters * CONTRACT_US
        until_us = at_us + CONTRACT_US
        if until_us > self._end_us - _SWEPT_US:
            by = self.granter_of(person, at_us)
            yield Granted(person, CONTRACTOR.name, by, at_us, until_us)

    def _between(self, low_us: int, high_us: int, part: float = 1.0) -> int:
        return low_us + int(self._rng.random() * part * max(0, high_us - low_us))


def _before(joined: Sequence[Person], at_us: int) -> int:
    """Return how many of people, by when they joined, were there before a moment."""
    return bisect_left(joined, at_us, key=_JOINED)


def _team(rank: float) -> Team:
    rank *= sum(team.weight for team in TEAMS)
    for team in TEAMS:
        rank -= team.weight
        if rank < 0:
            return team
    return TEAMS[-1]
