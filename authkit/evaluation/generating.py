"""How fast a world is written into PostgreSQL, in what memory, and what it is like."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from authkit import lab
from authkit.figures import Figure, Report, figure
from authkit.ops.migrate import upgrade
from authkit.workload import World, load
from authkit.workload.marginals import Marginals

Progress = Callable[[str, int, int], None]

RATE = 100_000
_FLAT_MB = 32.0  # what caches and the lists of a day may still grow by
_PHASE = "attempts"


@dataclass(slots=True)
class _Memory:
    """The peak of this process when a quarter of the world was written."""

    early_mb: float | None = None

    def watching(self, progress: Progress) -> Progress:
        def told(phase: str, done: int, whole: int) -> None:
            if phase == _PHASE and self.early_mb is None and done * 4 >= whole:
                self.early_mb = _peak_mb()
            progress(phase, done, whole)

        return told


def generate(*, users: int, days: int, seed: int, progress: Progress) -> Report:
    """Fill a server of its own with a world, and say how that went.

    Raises:
        InvalidInput: there can be no such world.
    """
    started, began = datetime.now(UTC), time.perf_counter()
    end = datetime(2026, 11, 1, tzinfo=UTC)
    world = World(seed=seed, users=users, days=days, end=end)
    marginals, memory = Marginals(), _Memory()
    at = time.process_time()
    with load.uncollected():
        made = sum(1 for _ in marginals.watch(world.attempts()))
    alone = made / (time.process_time() - at)
    with lab.cluster(replicas=0, in_memory=True) as server:
        upgrade(server.url())
        summary = load.seed(
            server.url(),
            users=users,
            days=days,
            seed=seed,
            end=end,
            progress=memory.watching(progress),
        )
        version = str(server.sql("SHOW server_version")[0][0])
    figures = [
        figure("attempts", summary.attempts, "attempts"),
        figure("generated, of a second of processor time", round(alone), "attempts"),
        figure(
            "generated and written into PostgreSQL",
            round(summary.attempts / summary.attempts_seconds),
            "attempts/s",
            goal=(">=", RATE),
        ),
        figure(
            "memory grown after the first quarter",
            round(_peak_mb() - (memory.early_mb or 0.0), 1),
            "MB",
            goal=("<=", _FLAT_MB),
        ),
        *_compared(marginals),
    ]
    spent = time.perf_counter() - began
    return Report(
        "risk generate",
        started,
        spent,
        tuple(figures),
        postgres=version,
        extra={"synthetic": True, "users": users, "days": days, "seed": seed},
    )


def _compared(marginals: Marginals) -> Iterator[Figure]:
    for each in marginals.found():
        yield figure(each.name, round(each.value, 4))
        if each.published is not None:
            yield figure(f"{each.name}, published", each.published)


def _peak_mb() -> float:
    # In bytes on macOS, in units of 1024 bytes elsewhere (getrusage(2)).
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
