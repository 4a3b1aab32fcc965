"""The hot path beside pgbench and other stacks, in one interleaved run.

Every figure is a ratio of two arms that ran one after the other on the same server and
the same rows, the median over rounds: what else the machine does falls on both. pgbench
with the very same statements, prepared, is the server's own limit.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Final

import psycopg

import authkit
from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.peers import hot_clients as clients
from authkit.harness.peers import hot_timing
from authkit.harness.peers import hot_world as world
from authkit.harness.peers.hot_drizzle import Drizzle, present
from authkit.harness.peers.hot_timing import Timing
from authkit.harness.peers.hot_world import Sizes
from authkit.settings import Settings

if TYPE_CHECKING:
    from authkit.lab import Lab

DEFAULT_SIZES: Final = Sizes(100_000, 100_000, 10_000)
CLIENTS: Final = (1, 2, 4, 8, 32)
IN_FLIGHT: Final = 256
FEW: Final = (1, 2, 4, 8)
_KEYS: Final = 50_000

# Of pgbench at its best, coalesced; and over Drizzle.
_FOLDED_GOALS: Final = {"validate": 1.5, "touch": 4.5, "attempt": 2.8, "limiter": 4.4}
_DRIZZLE_GOALS: Final = {"validate": 5, "touch": 6, "attempt": 4, "limiter": 7}


@dataclass(slots=True)
class _Cells:
    """Calls a second of every arm, a value for each round."""

    rates: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, arm: str, rate: float | None) -> None:
        if rate is not None:
            self.rates.setdefault(arm, []).append(rate)

    def ratio(self, arm: str, *others: str) -> float | None:
        """Return the median over rounds of one arm over the best of others."""
        rates = self.rates.get(arm, [])
        against = [self.rates[other] for other in others if other in self.rates]
        found = [
            rate / best
            for place, rate in enumerate(rates)
            if (best := max((other[place] for other in against), default=0.0))
        ]
        return median(found) if found else None


def run(
    *,
    seconds: float = 2.0,
    rounds: int = 3,
    sizes: Sizes = DEFAULT_SIZES,
    drizzle: bool | None = None,
    bindir: Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Measure the whole table.

    Args:
        seconds: of one arm in one round.
        rounds: of all arms in turn.
        sizes: of the tables.
        drizzle: whether to install and measure it; None: where node and npm are.
        bindir: PostgreSQL's programs; None: the lab's own choice.
        progress: told of each arm.

    Raises:
        LabError: the lab, pgbench, npm or node failed.
    """
    from authkit.lab import cluster
    from authkit.ops.migrate import upgrade

    started, began = datetime.now(UTC), perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="authkit-peers-"))
    try:
        with cluster(replicas=0, bindir=bindir) as lab:
            url = world.by_socket(lab)
            upgrade(lab.url())
            world.load(url, sizes, progress)
            wanted = present() if drizzle is None else drizzle
            node = Drizzle(_made(folder / "node")) if wanted else None
            arms = _arms(url, lab, folder, sizes, seconds, node)
            cells = _Cells()
            for turn in range(rounds):
                for place, (name, arm) in enumerate(arms.items()):
                    cells.add(name, arm())
                    progress(
                        "measuring", turn * len(arms) + place + 1, rounds * len(arms)
                    )
            settings = Settings.load(None, database_url=url)
            keys = world.drawn(sizes, "validate", 5000)
            cpu = [
                (
                    clients.client_cpu_us(settings, keys),
                    clients.bare_cpu_us(settings, keys),
                )
                for _ in range(rounds)
            ]
            kept = [clients.bookkeeping_cpu_us(settings) for _ in range(rounds)]
            with (
                authkit.connect(settings) as kit,
                psycopg.connect(url, autocommit=True) as owner,
            ):
                timing = hot_timing.compare(kit, owner, [world.USER])
            version = str(lab.sql("SHOW server_version")[0][0])
    finally:
        shutil.rmtree(folder)
    return Report(
        "bench peers hot",
        started,
        perf_counter() - began,
        (*_figures(cells, cpu, median(kept)), *_timed(timing)),
        postgres=version,
        extra={
            "rates": {
                name: [round(r) for r in rates] for name, rates in cells.rates.items()
            },
            "rows": {
                "sessions": sizes.sessions,
                "attempts": sizes.attempts,
                "limits": sizes.limits,
            },
        },
    )


def _arms(
    url: str,
    lab: Lab,
    folder: Path,
    sizes: Sizes,
    seconds: float,
    node: Drizzle | None,
) -> dict[str, Callable[[], float | None]]:
    """Return every arm, each beside those that it is compared with."""
    settings = Settings.load(None, database_url=url)
    keys = {op: world.drawn(sizes, op, _KEYS) for op in world.OPERATIONS}
    validate = keys["validate"]
    arms: dict[str, Callable[[], float | None]] = {}

    def bench(operation: str, count: int) -> Callable[[], float]:
        return lambda: world.pgbench(lab, folder, operation, count, seconds, sizes)

    def threads(
        operation: str, count: int, *, fold: bool = False
    ) -> Callable[[], float]:
        return lambda: clients.ours_in_threads(
            settings, operation, validate, count, seconds, coalesced=fold
        )

    def tasks(operation: str, count: int, *, fold: bool = False) -> Callable[[], float]:
        drawn = keys.get(operation, validate)
        return lambda: clients.ours_in_tasks(
            settings, operation, drawn, count, seconds, coalesced=fold
        )

    def drizzled(op: str, count: int) -> Callable[[], float | None]:
        return lambda: node and node.rate(url, op, keys[op], count, seconds)

    arms["threads validate 8"] = threads("validate", 8)
    arms["asyncpg validate 8"] = lambda: clients.asyncpg_in_tasks(
        url, validate, 8, seconds
    )
    arms["drizzle validate 8"] = drizzled("validate", 8)
    arms["threads touched 8"] = threads("touched", 8)
    arms["threads validate folded 32"] = threads("validate", 32, fold=True)
    arms["psycopg_pool validate 32"] = lambda: clients.psycopg_pool_in_threads(
        url, validate, 32, seconds
    )
    for operation in world.OPERATIONS:
        for count in CLIENTS:
            arms[f"pgbench {operation} {count}"] = bench(operation, count)
        arms[f"tasks {operation} folded"] = tasks(operation, IN_FLIGHT, fold=True)
        arms[f"drizzle {operation}"] = drizzled(operation, IN_FLIGHT)
    for count in FEW:
        arms[f"tasks validate {count}"] = tasks("validate", count)
        arms[f"tasks validate folded {count}"] = tasks("validate", count, fold=True)
    return arms


def _figures(
    cells: _Cells, cpu: list[tuple[float, float]], kept: float
) -> tuple[Figure, ...]:
    ratio = cells.ratio
    one = "threads validate 8"
    found = [
        figure("validate over pgbench, 8 clients", ratio(one, "pgbench validate 8"),
               "x", goal=(">=", 0.75)),
        figure("client CPU of a validate", median(ours for ours, _ in cpu),
               "us", goal=("<=", 11)),
        figure("of which lease, breaker and checks", kept, "us", goal=("<=", 1.5)),
        figure("client CPU over bare libpq's", median(o / b for o, b in cpu), "x"),
        figure("sync coalescer over psycopg_pool, 32 threads",
               ratio("threads validate folded 32", "psycopg_pool validate 32"),
               "x", goal=(">=", 3.5)),
        figure("validate with throttled touch over validate",
               ratio("threads touched 8", one), "x", goal=(">=", 0.9)),
    ]  # fmt: skip
    if (rate := ratio(one, "asyncpg validate 8")) is not None:
        found.append(
            figure("validate over asyncpg, 8 clients", rate, "x", goal=(">=", 1.05))
        )
    if (rate := ratio(one, "drizzle validate 8")) is not None:
        found.append(
            figure("validate over Drizzle, 8 clients", rate, "x", goal=(">=", 1.6))
        )
    for name in world.OPERATIONS:
        folded = f"tasks {name} folded"
        best = ratio(folded, *(f"pgbench {name} {count}" for count in CLIENTS))
        found.append(
            figure(f"{name} coalesced over pgbench at its best", best, "x",
                   goal=(">=", _FOLDED_GOALS[name]))
        )  # fmt: skip
        if (rate := ratio(folded, f"drizzle {name}")) is not None:
            found.append(
                figure(f"{name} coalesced over Drizzle", rate, "x",
                       goal=(">=", _DRIZZLE_GOALS[name]))
            )  # fmt: skip
    few = [ratio(f"tasks validate folded {n}", f"tasks validate {n}") for n in FEW]
    least = min((rate for rate in few if rate is not None), default=None)
    found.append(
        figure("coalescer over plain calls, 1 to 8", least, "x", goal=(">=", 0.95))
    )
    return tuple(found)


def _timed(timing: Timing) -> tuple[Figure, ...]:
    """Return what is told and not asked for: see `hot_timing`."""
    what = "wrong token against expired"
    return (
        figure(f"{what}: Welch's t", timing.t),
        figure(f"{what}: difference of means", timing.difference_us, "us"),
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
