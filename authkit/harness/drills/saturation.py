"""A healthy cluster with far more callers than connections: no node is given up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count, repeat
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from authkit.cluster.breaker import BreakerState
from authkit.cluster.events import BreakerChanged, Quarantined
from authkit.figures import Figure, Report, figure
from authkit.harness.drills.crew import Crew
from authkit.harness.drills.inspection import Inspection
from authkit.harness.drills.ledger import WRITES, Kind
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.drills.rounds import BOTH, Colour, errors_of
from authkit.harness.drills.servers import LabServers, settings_of

if TYPE_CHECKING:
    pass

# The primary's pool has 20 connections, a replica's has 15.
WORKERS: Final[tuple[Kind, ...]] = (
    *repeat("write", 24),
    *repeat("keyed", 16),
    *repeat("busy", 40),
)
_SAMPLE_S: Final = 0.25
_PROOF: Final = 0.5


def saturation(
    *,
    seconds: float,
    colours: Sequence[Colour] = BOTH,
    progress: Progress = silent,
) -> Report:
    """Keep a pair saturated and count the nodes that are given up meanwhile.

    Args:
        seconds: in each colour.
        colours: which clients, one after the other on the same lab.
        progress: told the phase, the seconds done and the seconds to do.
    """
    from authkit import lab
    from authkit.ops.migrate import upgrade

    started, began = datetime.now(UTC), monotonic()
    found: list[Figure] = []
    errors: dict[str, dict[str, int]] = {}
    progress("starting", 0, 1)
    with lab.cluster(1, in_memory=True) as made, LabServers(made) as servers:
        upgrade(made.url())
        progress("starting", 1, 1)
        Inspection(servers).prepare()
        numbers = count(1)
        for colour in colours:
            with Crew(
                colour, settings_of(servers), numbers, workers=WORKERS, pause_s=0.0
            ) as crew:
                share = _watched(crew, seconds, progress)
                found += _figures(crew, share, errors)
        version = made.state.version
    return Report(
        command="drill saturation",
        started=started,
        seconds=monotonic() - began,
        figures=tuple(found),
        postgres=version,
        extra={"callers": len(WORKERS), "errors": errors},
    )


def _watched(crew: Crew, seconds: float, progress: Progress) -> float:
    """Return the share of looks at which a pool was full and callers waited for it."""
    end = monotonic() + seconds
    looks = full = 0
    while (left := end - monotonic()) > 0:
        sleep(min(left, _SAMPLE_S))
        crew.check()
        looks += 1
        full += any(
            node.pool_size >= node.pool_max > 0 and node.waiting > 0
            for node in crew.status().nodes
        )
        progress(crew.colour, round(min(seconds, seconds - left)), round(seconds))
    return full / looks if looks else 0.0


def _figures(
    crew: Crew, share: float, errors: dict[str, dict[str, int]]
) -> list[Figure]:
    colour = crew.colour
    calls, _ = crew.ledger.take()
    errors[colour] = errors_of(calls)
    given_up = sum(isinstance(event, Quarantined) for _, event in crew.events)
    opened = sum(
        isinstance(event, BreakerChanged) and event.after is BreakerState.OPEN
        for _, event in crew.events
    )
    writes = sum(call.kind in WRITES for call in calls)
    return [
        figure(f"{colour}_healthy_nodes_given_up", given_up, goal=("==", 0)),
        figure(f"{colour}_breakers_opened", opened, goal=("==", 0)),
        figure(f"{colour}_share_saturated", round(share, 3), goal=(">=", _PROOF)),
        figure(f"{colour}_writes", writes),
        figure(f"{colour}_reads", len(calls) - writes),
        figure(f"{colour}_errors", sum(errors[colour].values())),
    ]
