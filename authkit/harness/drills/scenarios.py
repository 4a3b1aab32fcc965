"""The drills: what is done to the servers, step by step, while the clients work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from authkit.harness.drills.field import Field
from authkit.harness.drills.rounds import Goals


@dataclass(frozen=True, slots=True)
class Scenario:
    """One drill: its steps, what it needs, and what it is judged by."""

    name: str
    summary: str
    play: Callable[[Field], None]
    goals: Goals
    links: bool = False
    replicas: int = 1


def _failover(field: Field) -> None:
    old = field.servers.primary
    field.take_over(old, field.servers.kill, fence=True)
    field.written()
    field.rejoin(old)


def _freeze(field: Field) -> None:
    old = field.servers.primary
    field.hold(old)
    # Every other time nothing but its silence tells the clients.
    first = field.released if field.number % 2 else None
    field.take_over(old, field.servers.freeze, fence=False, first=first)
    field.written()
    field.released()
    field.servers.thaw(old)
    _left_behind(field, old)


def _left_behind(field: Field, old: str) -> None:
    """An old primary is alive again: nobody may write to it, then it rejoins."""
    field.newcomer()
    field.refused(old)
    field.written(times=5)
    field.examine(old)
    field.rejoin(old)


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Scenario(
                "failover",
                "the primary is killed, a replica promoted, the old one rejoins",
                _failover,
                Goals(promotion_ms=250),
            ),
            Scenario(
                "freeze",
                "the primary stops, is replaced, and goes on as if nothing had been",
                _freeze,
                Goals(promotion_ms=250, freed_ms=1000),
            ),
        )
    }
)
