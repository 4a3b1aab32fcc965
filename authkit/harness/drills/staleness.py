"""Reads after writes on replicas that lag: none stale, most of them by replicas."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import wait
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Final

import psycopg

from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.drills.rounds import BOTH, Colour
from authkit.harness.drills.servers import LabServers, settings_of
from authkit.harness.drills.stages import stage
from authkit.harness.drills.tally import FILL, TABLE, Tally, Users

if TYPE_CHECKING:
    from authkit.harness.drills.servers import Servers

LAG_MS: Final = 50
USERS: Final = 10_000
WRITES: Final = 0.1
_WORKERS: Final = 8
_TOLD_EVERY_S: Final = 0.5


def staleness(
    *,
    reads: int,
    colours: Sequence[Colour] = BOTH,
    seed: int = 0,
    progress: Progress = silent,
) -> Report:
    """Let users read what they wrote, on a lab whose replica lags by 50 ms.

    Args:
        reads: in each colour; a tenth of all visits write.
        colours: which clients, one after the other on the same lab.
        seed: of who visits when.
        progress: told the phase, the reads done and the reads to do.
    """
    from authkit import lab

    started, began = datetime.now(UTC), monotonic()
    found: list[Figure] = []
    errors: dict[str, dict[str, int]] = {}
    config = {"recovery_min_apply_delay": f"{LAG_MS}ms"}
    progress("starting", 0, 1)
    with (
        lab.cluster(1, in_memory=True, config=config) as made,
        LabServers(made) as servers,
    ):
        progress("starting", 1, 1)
        for colour in colours:
            at = monotonic()
            tally = _visited(servers, colour, reads, seed, progress)
            found += _figures(colour, tally, monotonic() - at)
            errors[colour] = dict(tally.errors)
        version = made.state.version
    return Report(
        command="drill staleness",
        started=started,
        seconds=monotonic() - began,
        figures=tuple(found),
        postgres=version,
        extra={
            "seed": seed,
            "lag_ms": LAG_MS,
            "users": USERS,
            "writes": WRITES,
            "errors": errors,
        },
    )


def _visited(
    servers: Servers, colour: Colour, reads: int, seed: int, progress: Progress
) -> Tally:
    with psycopg.connect(servers.admin_url(servers.primary)) as admin:
        admin.execute(TABLE)
        admin.execute(FILL, (USERS,))
    servers.wait_replayed()
    users = Users(USERS, reads=reads, seed=seed)
    tallies = [Tally() for _ in range(_WORKERS)]
    where = stage(colour)
    try:
        visitors = where.visitors(settings_of(servers), users, writes=WRITES)
        where.spawn(visitors.open).result()
        try:
            pending = {where.spawn(visitors.visit, tally) for tally in tallies}
            while pending:
                done, pending = wait(pending, _TOLD_EVERY_S)
                progress(colour, min(sum(t.reads for t in tallies), reads), reads)
                for future in done:
                    future.result()
        finally:
            users.enough()
            where.spawn(visitors.close).result()
    finally:
        where.close()
    return Tally.of(tallies)


def _figures(colour: Colour, tally: Tally, seconds: float) -> list[Figure]:
    share = tally.by_replica / tally.reads if tally.reads else None
    shown = None if share is None else round(share, 4)
    took = [round(1e-6 * ns, 2) for ns in tally.took.percentiles_ns((50, 99))]
    p50, p99 = took or (None, None)
    return [
        figure(f"{colour}_reads", tally.reads),
        figure(f"{colour}_writes", tally.writes),
        figure(f"{colour}_stale_reads", tally.stale, goal=("==", 0)),
        figure(f"{colour}_reads_without_token", tally.untold),
        # None of these would mean that nothing lagged: then zero above proves nothing.
        figure(f"{colour}_of_them_stale", tally.untold_stale, goal=(">=", 1)),
        figure(f"{colour}_share_by_replicas", shown, goal=(">=", 0.8)),
        figure(f"{colour}_failed_visits", tally.errors.total(), goal=("==", 0)),
        figure(f"{colour}_read_p50_ms", p50, "ms"),
        figure(f"{colour}_read_p99_ms", p99, "ms"),
        figure(f"{colour}_reads_per_second", round(tally.reads / seconds), "1/s"),
    ]
