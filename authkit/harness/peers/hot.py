"""The hot path beside pgbench and other stacks, in one interleaved run.

Every figure is a ratio of two arms that ran one after the other on the same server and
the same rows, the median over rounds: what else the machine does falls on both. pgbench
with the very same statements, prepared, is the server's own limit.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Final

import psycopg

import authkit
from authkit.errors import LabError
from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.peers import hot_clients as clients
from authkit.harness.peers import hot_table as table
from authkit.harness.peers import hot_timing
from authkit.harness.peers import hot_world as world
from authkit.harness.peers.hot_drizzle import Drizzle, present
from authkit.harness.peers.hot_sqlalchemy import sqlalchemy_in_threads
from authkit.harness.peers.hot_table import CLIENTS, FEW, Cells
from authkit.harness.peers.hot_timing import Timing
from authkit.harness.peers.hot_world import Sizes
from authkit.settings import Settings

if TYPE_CHECKING:
    from authkit.lab import Lab

DEFAULT_SIZES: Final = Sizes(100_000, 100_000, 10_000)
IN_FLIGHT: Final = 256
_KEYS: Final = 50_000
# Few in flight: what is told is the least of four ratios that are near 1, so that it is
# the noise of one pair that would be told. Many short turns, of twice the time
# together, have less of it.
_SHORT_TURNS: Final = 8


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
        drizzle: whether to install and measure it; None: where that can be done. What
            is not measured is told as missing, and why.
        bindir: PostgreSQL's programs; None: the lab's own choice.
        progress: told of each arm.

    Raises:
        LabError: the lab, pgbench or node failed, or npm where `drizzle` is True.
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
            node, missing = _drizzle(folder / "node", drizzle)
            if find_spec("asyncpg") is None:
                missing["asyncpg"] = "asyncpg is not installed"
            arms = _arms(url, lab, folder, sizes, seconds, node)
            arms = {n: arm for n, arm in arms.items() if n.split()[0] not in missing}
            cells = Cells()
            _measure(cells, arms, rounds, "measuring", progress)
            few = _few_in_flight(url, sizes, seconds * 2 / _SHORT_TURNS)
            _measure(cells, few, rounds * _SHORT_TURNS, "few in flight", progress)
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
    ratios = table.ratios(cells, cpu, missing)
    figures = (
        *table.figures(ratios),
        *_of_client([ours for ours, _ in cpu], kept),
        *_timed(timing),
    )
    return Report(
        "bench peers hot",
        started,
        perf_counter() - began,
        figures,
        postgres=version,
        extra={
            "table": table.markdown(figures, ratios, missing),
            "missing": missing,
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
) -> Mapping[str, Callable[[], float]]:
    """Return every arm, each beside those that it is compared with."""
    settings = Settings.load(None, database_url=url)
    keys = {op: world.drawn(sizes, op, _KEYS) for op in world.OPERATIONS}
    validate = keys["validate"]
    arms: dict[str, Callable[[], float]] = {}

    def bench(operation: str, count: int) -> Callable[[], float]:
        return lambda: world.pgbench(lab, folder, operation, count, seconds, sizes)

    def threads(
        operation: str, count: int, *, fold: bool = False
    ) -> Callable[[], float]:
        return lambda: clients.ours_in_threads(
            settings, operation, validate, count, seconds, coalesced=fold
        )

    def folded(op: str) -> Callable[[], float]:
        return lambda: clients.ours_in_tasks(
            settings, op, keys[op], IN_FLIGHT, seconds, coalesced=True
        )

    def drizzled(op: str, count: int) -> Callable[[], float]:
        return lambda: node.rate(url, op, keys[op], count, seconds) if node else 0.0

    def alchemy(*, orm: bool) -> Callable[[], float]:
        return lambda: sqlalchemy_in_threads(url, validate, 8, seconds, orm=orm)

    arms["threads validate 8"] = threads("validate", 8)
    arms["asyncpg validate 8"] = lambda: clients.asyncpg_in_tasks(
        url, validate, 8, seconds
    )
    arms["core validate 8"] = alchemy(orm=False)
    arms["orm validate 8"] = alchemy(orm=True)
    arms["drizzle validate 8"] = drizzled("validate", 8)
    arms["threads touched 8"] = threads("touched", 8)
    arms["threads validate folded 32"] = threads("validate", 32, fold=True)
    arms["psycopg_pool validate 32"] = lambda: clients.psycopg_pool_in_threads(
        url, validate, 32, seconds
    )
    for operation in world.OPERATIONS:
        for count in CLIENTS:
            arms[f"pgbench {operation} {count}"] = bench(operation, count)
        arms[f"tasks {operation} folded"] = folded(operation)
        arms[f"drizzle {operation}"] = drizzled(operation, IN_FLIGHT)
    return arms


def _few_in_flight(
    url: str, sizes: Sizes, seconds: float
) -> Mapping[str, Callable[[], float]]:
    """Return plain calls and folded ones, of few at once, each beside the other."""
    settings = Settings.load(None, database_url=url)
    keys = world.drawn(sizes, "validate", _KEYS)

    def tasks(count: int, *, fold: bool) -> Callable[[], float]:
        return lambda: clients.ours_in_tasks(
            settings, "validate", keys, count, seconds, coalesced=fold
        )

    return {
        f"tasks validate{' folded' if fold else ''} {count}": tasks(count, fold=fold)
        for count in FEW
        for fold in (False, True)
    }


def _measure(
    cells: Cells,
    arms: Mapping[str, Callable[[], float]],
    rounds: int,
    what: str,
    progress: Progress,
) -> None:
    """Run every arm once a round, in one order and then in the other."""
    for turn in range(rounds):
        order = list(arms.items())[:: -1 if turn % 2 else 1]
        for place, (name, arm) in enumerate(order, turn * len(arms) + 1):
            cells.add(name, arm())
            progress(what, place, rounds * len(arms))


def _of_client(cpu: list[float], kept: list[float]) -> tuple[Figure, ...]:
    return (
        figure("client CPU of a validate", median(cpu), "us", goal=("<=", 11)),
        figure(
            "of which lease, breaker and checks", median(kept), "us", goal=("<=", 1.5)
        ),
    )


def _drizzle(
    folder: Path, wanted: bool | None
) -> tuple[Drizzle | None, dict[str, str]]:
    """Install it where that is wanted and can be done; or say why it is missing."""
    if wanted is False:
        return None, {"drizzle": "it was not asked for"}
    if wanted is None and not present():
        return None, {"drizzle": "node or npm is not installed"}
    try:
        return Drizzle(_made(folder)), {}
    except LabError as exc:
        if wanted:
            raise
        return None, {"drizzle": str(exc)}


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
