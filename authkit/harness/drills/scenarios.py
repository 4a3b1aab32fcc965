"""The drills: what is done to the servers, step by step, while the clients work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from authkit.harness.drills.field import Field
from authkit.harness.drills.rounds import Goals
from authkit.harness.drills.servers import Impostors

# Each way: together well above what a probe calls late, below what it calls hung.
_SLOW_S: Final = 0.04
_FLAPS: Final = 3
_STORM: Final = 40
_TIE_S: Final = 0.5
_TOLD_BY_SILENCE: Final = 0.5
_LONGEST_DOUBT_S: Final = 0.4
_OUTAGE_S: Final = 1.5


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
    field.take_over(old, field.servers.freeze, fence=False, first=_silence(field))
    field.written()
    field.released()
    field.servers.thaw(old)
    _left_behind(field, old)


def _silence(field: Field) -> Callable[[], None]:
    """What comes between a silent primary and the promotion.

    Half the time the clients must have found out by its silence alone; else a moment
    of any length, so that the promotion meets every stage of their doubt.
    """
    if field.chance.random() < _TOLD_BY_SILENCE:
        return field.released
    seconds = _LONGEST_DOUBT_S * field.chance.random()
    return lambda: field.wait(seconds)


def _blackhole(field: Field) -> None:
    if field.number % 2 == 0:
        _blackhole_replica(field)
        return
    old = field.servers.primary
    field.hold(old)
    field.take_over(old, field.links.blackhole, fence=False, first=_silence(field))
    field.written()
    field.released()
    field.links.heal(old)
    _left_behind(field, old)


def _blackhole_replica(field: Field) -> None:
    replica = field.chance.choice(field.servers.replicas)
    field.hold(replica)
    field.fault(replica, field.links.blackhole)
    field.released()
    field.unusable(replica)
    field.read(times=5)
    field.links.heal(replica)


def _left_behind(field: Field, old: str) -> None:
    """An old primary is alive again: nobody may write to it, then it rejoins."""
    field.newcomers(old)
    field.refused(old)
    field.written(times=5)
    field.examine(old)
    field.rejoin(old)


def _split_brain(field: Field) -> None:
    """Two primaries: of two timelines, or, every other time, of one and the same."""
    if field.impostors is not None and field.number % 2 == 0:
        _tie(field, field.impostors)
    else:
        _two_timelines(field)


def _tie(field: Field, impostors: Impostors) -> None:
    """Nobody can tell which of them is the one: nobody may write to either."""
    impostor = field.servers.replicas[0]
    field.fault(impostor, impostors.impersonate)
    field.split(_TIE_S)
    impostors.restore(impostor)


def _two_timelines(field: Field) -> None:
    """The later timeline is the one.

    A further replica that went on confirming the old one's commits would make losses
    that no client can prevent: whoever promotes has to take it away first, and does.
    """
    old, others = field.servers.primary, field.servers.replicas[1:]
    for other in others:
        field.fault(other, field.servers.kill)
    field.take_over(old, _nothing, fence=False)
    field.written()
    _left_behind(field, old)
    for other in others:
        field.rejoin(other)


def _nothing(_node: str) -> None:
    """Nothing is done to it: it goes on as a primary."""


def _flap(field: Field) -> None:
    servers = field.servers
    node = (
        servers.primary if field.number % 2 else field.chance.choice(servers.replicas)
    )
    for _ in range(_FLAPS):
        field.fault(node, field.links.refuse)
        field.unusable(node)
        field.links.heal(node)
        if node == servers.primary:
            field.possible("heal")
        field.settle()


def _slow(field: Field) -> None:
    node = field.chance.choice(field.servers.nodes)
    field.links.delay(node, _SLOW_S)
    field.written(times=3)
    field.read(times=10)
    field.links.heal(node)


def _restart(field: Field) -> None:
    """Callers who were idle meanwhile find connections that are none any more."""
    primary = field.servers.primary
    immediate = field.number % 2 == 0
    field.fault(primary, lambda node: field.servers.stop(node, immediate=immediate))
    field.servers.start(primary)
    field.possible("restart")
    field.idle_errors_from_now()
    field.written(times=5)
    field.read(times=5)


def _replica_lost(field: Field) -> None:
    replica = field.chance.choice(field.servers.replicas)
    field.fault(replica, field.servers.kill)
    field.unusable(replica)
    field.written(times=3)
    field.read(times=5)
    field.rejoin(replica)


def _outage(field: Field) -> None:
    nodes = (field.servers.primary, *field.servers.replicas)
    field.down_for(_OUTAGE_S, nodes, _STORM)


_SINGLE: Final = (
    Scenario(
        "failover",
        "the primary is killed, a replica promoted, the old one rejoins",
        _failover,
        Goals(write_ms=250),
    ),
    Scenario(
        "freeze",
        "the primary stops, is replaced, and goes on as if nothing had been",
        _freeze,
        Goals(write_ms=250, freed_ms=1000),
    ),
    Scenario(
        "blackhole",
        "nothing reaches one node any more: a primary that is replaced, a replica",
        _blackhole,
        Goals(write_ms=250, freed_ms=1000),
        links=True,
    ),
    Scenario(
        "flap",
        "the way to one node breaks and is mended, again and again",
        _flap,
        Goals(),
        links=True,
    ),
    Scenario(
        "slow",
        "every answer of one node takes 80 ms longer",
        _slow,
        Goals(given_up=True),
        links=True,
    ),
    Scenario(
        "restart",
        "the primary is restarted; every idle connection to it is stale",
        _restart,
        Goals(),
    ),
    Scenario(
        "replica-lost",
        "one of two replicas is killed",
        _replica_lost,
        Goals(),
        replicas=2,
    ),
    Scenario(
        "split-brain",
        "there are two primaries: of two timelines, or of one",
        _split_brain,
        Goals(write_ms=250),
    ),
    Scenario(
        "outage",
        "every node is down while callers keep coming",
        _outage,
        Goals(amplification=1.1, reads_failed=False),
    ),
)
# How often each comes in a hundred rounds of chaos, about.
_SHARES: Final[Mapping[str, int]] = {
    "failover": 25,
    "freeze": 20,
    "blackhole": 20,
    "split-brain": 10,
    "restart": 8,
    "flap": 7,
    "replica-lost": 7,
    "slow": 3,
}


def _chaos(field: Field) -> None:
    (name,) = field.chance.choices(tuple(_SHARES), tuple(_SHARES.values()))
    field.named(name)
    SCENARIOS[name].play(field)


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            *_SINGLE,
            Scenario(
                "chaos",
                "all but the outage, in an order that the seed decides",
                _chaos,
                Goals(write_ms=250, freed_ms=1000),
                links=True,
                replicas=2,
            ),
        )
    }
)
