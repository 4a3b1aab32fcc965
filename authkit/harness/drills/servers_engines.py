"""The laboratories that drills are played in, by engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, Protocol

from authkit.harness.drills.servers_links import LabImpostors

if TYPE_CHECKING:
    from authkit.harness.drills.scenarios import Scenario
    from authkit.harness.drills.servers import Engine, Impostors
    from authkit.lab.patroni import PatroniLab

EngineName = Literal["plain", "patroni"]
# Where one is lost, a synchronous standby is left to confirm commits.
PATRONI_NODES: Final = 3


@dataclass(frozen=True, slots=True)
class Laboratory:
    """A running one: its engine, and what else a drill can do there.

    `kill` is how a node is killed, None: as the engine does.
    """

    lab: Engine
    version: str
    impostors: Impostors | None = None
    kill: Callable[[str], object] | None = None


class Opening(Protocol):
    """Starts a laboratory that is fit for a drill, for the length of a block."""

    def __call__(
        self, scenario: Scenario, *, synchronous: bool
    ) -> AbstractContextManager[Laboratory]:
        """Return it as a context manager."""
        ...


@contextmanager
def _plain(scenario: Scenario, *, synchronous: bool) -> Generator[Laboratory]:
    from authkit import lab

    with lab.cluster(
        scenario.replicas, synchronous=synchronous, in_memory=True
    ) as made:
        yield Laboratory(made, made.state.version, LabImpostors(made))


@contextmanager
def _patroni(scenario: Scenario, *, synchronous: bool) -> Generator[Laboratory]:
    from authkit.errors import InvalidInput
    from authkit.lab.patroni_starting import patroni_cluster

    if not synchronous:
        raise InvalidInput("the Patroni laboratory confirms commits synchronously only")
    with patroni_cluster(PATRONI_NODES, in_memory=True) as made:
        kill = alternating(made) if scenario.name == "failover" else None
        yield Laboratory(made, made.version, kill=kill)


def alternating(lab: PatroniLab) -> Callable[[str], object]:
    """Kill a node by turns: Patroni with its PostgreSQL, then PostgreSQL alone."""
    ways = cycle((lab.kill, lab.kill_postgres))

    def kill(node: str) -> object:
        return next(ways)(node)

    return kill


LABORATORIES: Final[Mapping[EngineName, Opening]] = MappingProxyType(
    {"plain": _plain, "patroni": _patroni}
)
