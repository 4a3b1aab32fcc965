"""What every attack planner works with: random numbers, the people, invented names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from authkit.crypto.keyed import KeyedHash
from authkit.workload.attempt import Kind, Source, Strike
from authkit.workload.browsers import POPULAR, TOOLS
from authkit.workload.geography import HOSTING, Carrier, random_address
from authkit.workload.identifiers import uuid7_bytes
from authkit.workload.population import DAY_US, Person


@dataclass(frozen=True, slots=True)
class Scene:
    """The world as an attacker's planner sees it; `people` is never changed by one."""

    rng: Random
    keyed: KeyedHash
    people: Sequence[Person]
    start_us: int

    def victim(
        self,
        *,
        at_us: int,
        dormant: bool = False,
        mfa: bool = False,
        signed_in: bool = False,
    ) -> Person:
        """Draw a victim: one with a history unless a dormant one is wanted.

        Args:
            at_us: when, in microseconds since 1970 UTC; who joins later is no victim.
            dormant: one who has not logged in for long.
            mfa: one with a second factor.
            signed_in: one with a session that can be stolen.

        Returns:
            The first of 200 draws that fits; in a world too small for one, whoever
            comes first, so a caller that needs the rest checks for it.
        """
        for _ in range(200):
            person = self.people[int(self.rng.random() * len(self.people))]
            if dormant == person.dormant and person.created_us < at_us:
                if mfa and not person.mfa:
                    continue
                if signed_in and person.session is None:
                    continue
                return person
        return self.people[0]  # a world too small to choose from

    def day(self, at_us: int) -> float:
        """Return a time as days since the world began."""
        return (at_us - self.start_us) / DAY_US

    def campaign(self, at_us: int) -> bytes:
        """Draw the id of a campaign: the 16 bytes of a UUIDv7 of that time."""
        return uuid7_bytes(self.rng, at_us)

    def unknown(self, number: int) -> bytes:
        """Return the subject (a keyed hash, 32 bytes) of a name without an account."""
        return self.keyed.subject(f"leaked.{number}@example.net")

    def machine(self, at_us: int, carriers: Sequence[Carrier] = HOSTING) -> Source:
        """Draw an attacking machine: a rented address behind a popular browser.

        Three of ten name a tool instead, as careless attackers do; each has a device
        of its own.
        """
        rng = self.rng
        carrier = carriers[int(rng.random() * len(carriers))]
        agent = POPULAR.user_agent(POPULAR.version_on(self.day(at_us)))
        if rng.random() < 0.3:
            agent = TOOLS[int(rng.random() * len(TOOLS))]
        return Source(
            random_address(rng, carrier),
            carrier.asn,
            carrier.country,
            agent,
            self.keyed.device(f"attacker/{rng.getrandbits(64):x}"),
        )


Planner: TypeAlias = Callable[[Scene, int], list[Strike]]


def strike(
    kind: Kind,
    campaign: bytes,
    at_us: int,
    victim: Person | bytes,
    source: Source,
    *,
    secret: bool = False,
    approves: bool = False,
    session: bytes | None = None,
) -> Strike:
    """Aim at a person, or at a subject that has no account."""
    index, subject = (
        (-1, victim) if isinstance(victim, bytes) else (victim.index, victim.subject)
    )
    return Strike(
        at_us, kind, campaign, index, subject, source, secret, approves, session
    )
