"""One frozen primary for every peer at once: who goes on, and where they write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias

import psycopg

from authkit.harness.drills.promotion import PromotionWatch
from authkit.harness.peers.cluster_clients import AsyncPeer, SyncPeer
from authkit.lab.replication import wait_until

if TYPE_CHECKING:
    from authkit.harness.drills.progress import Progress
    from authkit.harness.drills.servers import Servers

Peer: TypeAlias = SyncPeer | AsyncPeer
# A caller comes every so often; whoever is still inside is waited for by nobody.
_EVERY_S: Final = 0.02
_MOST: Final = 60
_AFTERWARDS_S: Final = 3.0


@dataclass(slots=True)
class Written:
    """What one peer's writers were told: when, on which timeline, and how they waited.

    Appended to by its writers only; read when they have ended.
    """

    acknowledged: list[tuple[float, int]] = field(
        default_factory=list[tuple[float, int]]
    )
    calls: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    errors: int = 0
    numbers: Iterator[int] = field(default_factory=count)


@dataclass(frozen=True, slots=True)
class Moments:
    """When it happened, on the monotonic clock, and the timeline that began."""

    frozen: float
    promoted: float
    thawed: float
    timeline: int


@dataclass(frozen=True, slots=True)
class Failover:
    """What one peer made of it; None where it did not come."""

    outage_ms: float | None
    longest_call_ms: float | None
    old_writes: int
    new_writes: int
    errors: int


def judged(written: Written, moments: Moments) -> Failover:
    """Say what a failover was for one peer.

    The outage ends with its first write on the new timeline. A write to the old one
    counts when it was acknowledged after that, or, for who never wrote to the new one,
    after the promotion.
    """
    new = [at for at, timeline in written.acknowledged if timeline == moments.timeline]
    known = min(new, default=moments.promoted)
    old = [
        at
        for at, timeline in written.acknowledged
        if timeline < moments.timeline and at > known
    ]
    longest = max(
        (
            ended - max(began, moments.frozen)
            for began, ended in written.calls
            if ended > moments.frozen
        ),
        default=None,
    )
    return Failover(
        outage_ms=_ms(max(0.0, known - moments.promoted)) if new else None,
        longest_call_ms=None if longest is None else _ms(longest),
        old_writes=len(old),
        new_writes=len(new),
        errors=written.errors,
    )


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


async def frozen_and_thawed(
    servers: Servers, peers: Sequence[Peer], frozen_s: float, progress: Progress
) -> tuple[dict[int, Written], Moments]:
    """Freeze, promote, wait, thaw, wait; return what each peer wrote meanwhile."""
    stop = threading.Event()
    written = {id(peer): Written() for peer in peers if peer.fails_over}
    threads = ThreadPoolExecutor(_MOST * len(written), "authkit peer")
    arrivals = [
        asyncio.create_task(_arrive(peer, written[id(peer)], stop, threads))
        for peer in peers
        if peer.fails_over
    ]
    try:
        moments = await asyncio.to_thread(_fault, servers, written, frozen_s, progress)
    finally:
        stop.set()
        await asyncio.gather(*arrivals)
        threads.shutdown()
    return written, moments


async def _arrive(
    peer: Peer, written: Written, stop: threading.Event, threads: ThreadPoolExecutor
) -> None:
    """Let a caller come every so often, whatever became of those before."""
    inside: set[asyncio.Future[None]] = set()
    while not stop.is_set():
        if len(inside) < _MOST:
            if isinstance(peer, AsyncPeer):
                call: asyncio.Future[None] = asyncio.create_task(
                    _write_async(peer, written)
                )
            else:
                call = asyncio.wrap_future(threads.submit(_write, peer, written))
            inside.add(call)
            call.add_done_callback(inside.discard)
        await asyncio.sleep(_EVERY_S)
    while inside:
        await asyncio.wait(tuple(inside))


def _fault(
    servers: Servers,
    written: Mapping[int, Written],
    frozen_s: float,
    progress: Progress,
) -> Moments:
    def all_wrote(since: float) -> bool:
        return all(
            w.acknowledged and w.acknowledged[-1][0] > since for w in written.values()
        )

    began = monotonic()
    wait_until(lambda: all_wrote(began), "the peers did not begin to write")
    old = servers.primary
    urls = {name: servers.admin_url(name) for name in servers.replicas}
    progress("failover", 0, 3)
    with PromotionWatch(urls) as watch:
        frozen = monotonic()
        servers.freeze(old)
        new = servers.promote(fence=False)
        promoted = watch.moment(new)
    progress("failover", 1, 3)
    threading.Event().wait(frozen_s)
    with psycopg.connect(servers.admin_url(new), autocommit=True) as admin:
        row = admin.execute(
            "SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))"
            "::bit(32)::int"
        ).fetchone()
    servers.thaw(old)
    thawed = monotonic()
    progress("failover", 2, 3)
    threading.Event().wait(_AFTERWARDS_S)
    progress("failover", 3, 3)
    return Moments(frozen, promoted, thawed, 0 if row is None else int(row[0]))


def _write(peer: SyncPeer, written: Written) -> None:
    began = monotonic()
    try:
        timeline = peer.write(next(written.numbers))
        written.acknowledged.append((monotonic(), timeline))
    except Exception:  # noqa: BLE001 # each peer fails in its own way; it is counted
        written.errors += 1
    written.calls.append((began, monotonic()))


async def _write_async(peer: AsyncPeer, written: Written) -> None:
    began = monotonic()
    try:
        timeline = await peer.write(next(written.numbers))
        written.acknowledged.append((monotonic(), timeline))
    except Exception:  # noqa: BLE001 # each peer fails in its own way; it is counted
        written.errors += 1
    written.calls.append((began, monotonic()))
