"""Runs a drill for so many rounds in one colour or both; makes the report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING

from authkit.figures import Figure, Report
from authkit.harness.drills.crew import Crew
from authkit.harness.drills.field import Field
from authkit.harness.drills.inspection import Inspection
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.drills.rounds import BOTH, Colour, Round, figures
from authkit.harness.drills.scenarios import SCENARIOS, Scenario
from authkit.harness.drills.servers import LabServers, settings_of
from authkit.harness.drills.servers_engines import LABORATORIES, EngineName

if TYPE_CHECKING:
    from authkit.harness.drills.servers import Impostors, Links, Servers


@dataclass(frozen=True, slots=True)
class Ground:
    """Servers on which drills are played, whichever engine runs them.

    Args:
        servers: prepared with the schema of authkit.
        links: faults on the way to them, where there are any.
        impostors: how a second primary is made, where one can be.
        progress: told the phase, the rounds done and the rounds to do.
    """

    servers: Servers
    links: Links | None = None
    impostors: Impostors | None = None
    progress: Progress = silent
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def play(
        self, scenario: Scenario, *, rounds: int, colour: Colour, seed: int = 0
    ) -> list[Round]:
        """Play so many rounds with clients of one colour.

        Raises:
            LabError: something that must happen did not: the run proves nothing.
        """
        Inspection(self.servers).prepare()
        chance = Random(seed)  # noqa: S311 # repeatable, no secret
        played: list[Round] = []
        with (
            TemporaryDirectory(prefix="authkit-drill-") as kept,
            Crew(
                colour,
                settings_of(self.servers, epoch_file=Path(kept) / "epoch"),
                self.numbers,
            ) as crew,
        ):
            where = Field(
                self.servers,
                crew,
                chance,
                links=self.links,
                impostors=self.impostors,
            )
            self.progress(colour, 0, rounds)
            for number in range(rounds):
                played.append(where.play(scenario.name, scenario.play))
                self.progress(colour, number + 1, rounds)
        return played


def drill(
    name: str,
    *,
    rounds: int,
    colours: Sequence[Colour] = BOTH,
    seed: int = 0,
    synchronous: bool = True,
    engine: EngineName = "plain",
    progress: Progress = silent,
) -> Report:
    """Play a drill on a laboratory of its own, which is removed afterwards.

    Args:
        name: one of `SCENARIOS`.
        rounds: in each colour.
        colours: which clients, one after the other on the same lab.
        seed: of every choice that a drill makes.
        synchronous: whether commits wait for a replica.
        engine: what runs the servers: the embedded lab, or Patroni on three nodes.
        progress: told the phase, the rounds done and the rounds to do.

    Raises:
        LabError: something that must happen did not: the run proves nothing.
    """
    from authkit.ops.migrate import upgrade

    scenario = SCENARIOS[name]
    started, began, before = datetime.now(UTC), monotonic(), os.getloadavg()[0]
    progress("starting", 0, 1)
    with LABORATORIES[engine](scenario, synchronous=synchronous) as made:
        upgrade(made.lab.url(made.lab.primary))
        progress("starting", 1, 1)
        with LabServers(made.lab, proxied=scenario.links, kill=made.kill) as servers:
            ground = Ground(servers, servers.links, made.impostors, progress)
            played = [
                ground.play(scenario, rounds=rounds, colour=colour, seed=seed)
                for colour in colours
            ]
    found: list[Figure] = []
    for each in played:
        found += figures(each, scenario.goals, durable=synchronous)
    return Report(
        command=f"drill {name}",
        started=started,
        seconds=monotonic() - began,
        figures=tuple(found),
        postgres=made.version,
        extra={
            "engine": engine,
            "seed": seed,
            "synchronous": synchronous,
            "load": [before, os.getloadavg()[0]],
            "rounds": [r.as_dict() for each in played for r in each],
        },
    )
