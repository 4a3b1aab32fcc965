"""What failover costs: our cluster beside what else there is, in one run.

One fault for all: the primary is frozen, a replica promoted, the old one thawed.
Commits wait for no replica here: where they do, the old primary's writes hang instead
of going wrong, and what a client does with them would not be seen.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from statistics import median
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING, Final

import psycopg

from authkit.figures import Figure, Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.drills.servers import LabServers
from authkit.harness.peers import cluster_clients as clients
from authkit.harness.peers.cluster_clients import TABLE, AsyncPeer, Missing
from authkit.harness.peers.cluster_failover import (
    Failover,
    Peer,
    frozen_and_thawed,
    judged,
)
from authkit.harness.peers.interval import interval

if TYPE_CHECKING:
    from authkit.harness.drills.servers import Servers

OURS: Final = "authkit"
BARE: Final = "psycopg_pool, one node"
LISTED: Final = "psycopg_pool, libpq's hosts"
PINGED: Final = "SQLAlchemy pre-ping, libpq's hosts"
FROZEN_S: Final = 12.0
_TOUCHES: Final = 50
_TITLES: Final = (
    "client",
    "colour",
    "acquire p50 (us)",
    "over the bare pool (us)",
    "promotion to first write (ms)",
    "longest call (ms)",
    "writes to the old timeline",
    "writes to the new",
    "errors",
)
_GOALS_US: Final[Mapping[str, float]] = {"sync": 3.0, "async": 5.0}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; None where it was not measured or never came."""

    peer: str
    colour: str
    acquire_us: float | None = None
    over_bare_us: float | None = None
    failover: Failover | None = None
    missing: str = ""
    within_us: tuple[float, float] | None = None


def run(
    *, rounds: int = 200, frozen_s: float = FROZEN_S, progress: Progress = silent
) -> Report:
    """Measure every peer that can run; those that cannot are named.

    Args:
        rounds: of the interleaved measurement of what taking a connection costs.
        frozen_s: how long the node stays frozen; whoever is blocked longer than that is
            freed by the thaw.
        progress: told the phase, what is done and what there is to do.
    """
    from authkit import lab
    from authkit.ops.migrate import upgrade

    started, began, before = datetime.now(UTC), monotonic(), os.getloadavg()[0]
    progress("starting", 0, 1)
    with lab.cluster(1, synchronous=False, in_memory=True) as made:
        upgrade(made.url())
        progress("starting", 1, 1)
        with LabServers(made) as servers, asyncio.Runner() as runner:
            rows = runner.run(_measured(servers, rounds, frozen_s, progress))
        version = made.state.version
    return Report(
        command="bench peers cluster",
        started=started,
        seconds=monotonic() - began,
        figures=tuple(figures(rows)),
        postgres=version,
        extra={
            "load": [before, os.getloadavg()[0]],
            "versions": clients.versions(),
            "frozen_s": frozen_s,
            "table": markdown(rows),
        },
    )


async def _measured(
    servers: Servers, rounds: int, frozen_s: float, progress: Progress
) -> list[Row]:
    with psycopg.connect(servers.admin_url(servers.primary)) as admin:
        admin.execute(TABLE)
    peers, missing = await _opened(servers)
    try:
        costs = await _acquired(peers, rounds, progress)
        written, moments = await frozen_and_thawed(servers, peers, frozen_s, progress)
    finally:
        for peer in peers:
            closing = peer.close()
            if isinstance(peer, AsyncPeer):
                await closing  # pyright: ignore[reportGeneralTypeIssues] # an async peer's
    rows: list[Row] = []
    for peer in peers:
        colour = "async" if isinstance(peer, AsyncPeer) else "sync"
        bare = next(
            other for other in peers if type(other) is type(peer) and other.name == BARE
        )
        pairs = zip(costs[id(peer)], costs[id(bare)], strict=True)
        over = [ours - its for ours, its in pairs]
        rows.append(
            Row(
                peer.name,
                colour,
                acquire_us=round(median(costs[id(peer)]), 2),
                over_bare_us=round(median(over), 2),
                within_us=interval(over),
                failover=judged(written[id(peer)], moments)
                if id(peer) in written
                else None,
            )
        )
    rows += [Row(each.name, "async", missing=each.reason) for each in missing]
    return rows


async def _opened(servers: Servers) -> tuple[list[Peer], list[Missing]]:
    """Open every peer, in the order of the table."""
    primary, hosts = servers.url(servers.primary), clients.multi_host(servers)
    opened: list[Peer | Missing] = [
        clients.pooled(BARE, primary, fails_over=False),
        clients.ours(OURS, servers),
        clients.pooled(LISTED, hosts, fails_over=True),
        clients.pre_pinged(PINGED, servers),
        await clients.pooled_async(BARE, primary, fails_over=False),
        await clients.ours_async(OURS, servers),
        await clients.pooled_async(LISTED, hosts, fails_over=True),
        await clients.hasql("hasql", servers),
    ]
    peers = [peer for peer in opened if not isinstance(peer, Missing)]
    return peers, [peer for peer in opened if isinstance(peer, Missing)]


# --- what taking a connection costs ---------------------------------------------------


async def _acquired(
    peers: Sequence[Peer], rounds: int, progress: Progress
) -> dict[int, list[float]]:
    """Return the microseconds per touch of each peer, round by round, interleaved."""
    random = Random(rounds)  # noqa: S311 # an order, no secret
    costs: dict[int, list[float]] = {id(peer): [] for peer in peers}
    for number in range(-1, rounds):
        # Each follows each other one as often: nobody always finds a cold cache.
        turned = random.sample(peers, len(peers))
        for peer in turned:
            took = await _touched(peer)
            if number >= 0:  # the first warms up
                costs[id(peer)].append(took)
        progress("acquire", number + 1, rounds)
    return costs


async def _touched(peer: Peer) -> float:
    touch = peer.touch
    began = perf_counter_ns()
    if isinstance(peer, AsyncPeer):
        for _ in range(_TOUCHES):
            await peer.touch()
    else:
        for _ in range(_TOUCHES):
            touch()
    return (perf_counter_ns() - began) / _TOUCHES / 1000


# --- what came of it ------------------------------------------------------------------


def figures(rows: Sequence[Row]) -> list[Figure]:
    """Turn the table into figures; ours have goals."""
    made: list[Figure] = []
    for row in rows:
        if row.missing:
            continue
        name = f"{row.colour}_{_slug(row.peer)}"
        own = row.peer == OURS
        bound = _GOALS_US[row.colour]
        made += [
            figure(f"{name}_acquire_p50_us", row.acquire_us, "us"),
            figure(
                f"{name}_acquire_over_bare_us",
                row.over_bare_us,
                "us",
                goal=("<=", bound) if own else None,
            ),
        ]
        found = row.failover
        if found is None:
            continue
        made += [
            figure(
                f"{name}_promotion_to_write_ms",
                found.outage_ms,
                "ms",
                goal=("<=", 250) if own else None,
            ),
            figure(
                f"{name}_longest_call_ms",
                found.longest_call_ms,
                "ms",
                goal=("<=", 1000) if own else None,
            ),
            figure(
                f"{name}_old_timeline_writes",
                found.old_writes,
                goal=("==", 0) if own else None,
            ),
            figure(f"{name}_new_timeline_writes", found.new_writes),
            figure(f"{name}_errors", found.errors),
        ]
    return made


def _slug(name: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    return "_".join(word for word in words if len(word) > 1)


def markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown; a peer that cannot run is said to be missing."""
    lines = [f"| {' | '.join(_TITLES)} |", "|---|---|" + "---:|" * 7]
    for row in rows:
        cells = [row.peer, row.colour]
        if row.missing:
            cells += [f"missing: {row.missing}", *[""] * 6]
        else:
            found = row.failover
            within = ""
            if row.within_us is not None and row.peer != BARE:
                within = " ({:.2f} to {:.2f})".format(*row.within_us)
            cells += [_cell(row.acquire_us), _cell(row.over_bare_us) + within]
            cells += (
                ["does not fail over", *[""] * 4]
                if found is None
                else [
                    _cell(found.outage_ms),
                    _cell(found.longest_call_ms),
                    _cell(found.old_writes),
                    _cell(found.new_writes),
                    _cell(found.errors),
                ]
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "never" if value is None else f"{value:,}"
