"""Attempts with the evidence that there was when each of them was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from authkit.risk import Features, Histories, features
from authkit.risk.evidence import Evidence, gather
from authkit.workload import TAKEOVERS, Attempt, World
from authkit.workload.population import DAY_US

LEGITIMATE = "legitimate"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One attempt with the right password, and what was known before it."""

    kind: str
    user: int
    at_us: int
    ip: str | None
    evidence: Evidence

    @property
    def attack(self) -> bool:
        """Whether somebody else made it."""
        return self.kind != LEGITIMATE


class Collector:
    """Looks at attempts in order of time; the past alone is in any evidence."""

    def __init__(self, horizon: timedelta | None = None) -> None:
        self._histories = Histories() if horizon is None else Histories(horizon)

    def look(
        self, kind: str, user: int, at_us: int, seen: Features, *, learn: bool
    ) -> Case:
        """Return the case of an attempt, and learn from it afterwards if told so."""
        past = self._histories.of(user, at_us)
        case = Case(kind, user, at_us, seen.ip, gather(seen, past))
        if learn:
            self._histories.learn(user, at_us, seen)
        return case

    def learn(self, user: int, at_us: int, seen: Features) -> None:
        """Learn from a login that is no case of its own."""
        self._histories.learn(user, at_us, seen)


def collect(world: World, progress: Progress | None = None) -> list[Case]:
    """Run a world and return its cases: first factors passed, legitimate or taken over.

    Only completed legitimate logins are learned from.
    """
    return list(_cases(world, world.attempts(), progress))


def _cases(
    world: World, attempts: Iterable[Attempt], progress: Progress | None
) -> Iterable[Case]:
    collector, start_us, day = Collector(), world.start_us, -1
    for made in attempts:
        if progress is not None and (made.at_us - start_us) // DAY_US != day:
            day = (made.at_us - start_us) // DAY_US
            progress(f"world {world.seed}", day + 1, world.days)
        if made.person < 0 or made.outcome != "succeeded":
            continue
        first = made.stage == "primary"
        legitimate = made.kind == LEGITIMATE
        if not legitimate and not (first and made.kind in TAKEOVERS):
            continue
        source = made.source
        seen = features(
            source.ip, source.asn, source.country, source.user_agent, made.at_us
        )
        learn = legitimate and made.completes
        if first:
            yield collector.look(made.kind, made.person, made.at_us, seen, learn=learn)
        elif learn:
            collector.learn(made.person, made.at_us, seen)
