"""A crew of clients in one colour, led from a plain thread."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from time import monotonic
from typing import Any

from pydantic import SecretStr

from authkit.cluster import ClusterStatus
from authkit.cluster.events import BreakerChanged, Event, Quarantined
from authkit.errors import Unavailable
from authkit.harness.drills.ledger import WRITES, Kind, Ledger
from authkit.harness.drills.rounds import Colour
from authkit.harness.drills.stages import AnyClients, stage
from authkit.settings import Settings

# Enough callers for several to be inside the database at every moment.
WORKERS: tuple[Kind, ...] = ("write", "write", "keyed", "keyed", "read", "read")
PAUSE_S = 0.005
_END_S = 30.0
_NEWCOMER_S = 2.0


class Crew:
    """Writers and readers at work on one cluster, for the length of a block.

    Args:
        colour: sync or async.
        settings: of the cluster.
        numbers: of the writes, unlike those of any other crew on these servers.
        workers: what each of the callers does.
        pause_s: how long each rests between two calls.
    """

    def __init__(
        self,
        colour: Colour,
        settings: Settings,
        numbers: Iterator[int],
        *,
        workers: Sequence[Kind] = WORKERS,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.colour: Colour = colour
        self.ledger = Ledger(numbers)
        self.events: list[tuple[float, Event]] = []
        self._settings = settings
        self._workers = {f"{kind} {n}": kind for n, kind in enumerate(workers)}
        self._pause_s = pause_s
        self._stage = stage(colour)
        self._label = secrets.token_hex(4)
        self.clients = self._clients(self._label, settings)
        events = self.clients.cluster.events
        events.subscribe(self._heard, Quarantined, BreakerChanged)
        self._working: list[Future[Any]] = []
        self._held: list[Future[Any]] = []
        self._storm: list[Future[Any]] = []

    def _clients(self, label: str, settings: Settings) -> AnyClients:
        return self._stage.clients(
            settings, self.ledger, label=label, pause_s=self._pause_s
        )

    def __enter__(self) -> Crew:
        try:
            self._stage.spawn(self.clients.open).result()
            for worker, kind in self._workers.items():
                future = self._stage.spawn(self.clients.work, kind, worker)
                self._working.append(future)
        except BaseException:
            self._stage.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.clients.stopping = True
        try:
            self._stage.spawn(self.clients.close).result(_END_S)
            for future in (*self._working, *self._held, *self._storm):
                future.result(_END_S)
        finally:
            self._stage.close()

    def _heard(self, event: Event) -> None:
        self.events.append((monotonic(), event))

    @property
    def writers(self) -> tuple[str, ...]:
        """The names of the workers that write."""
        return tuple(name for name, kind in self._workers.items() if kind in WRITES)

    @property
    def readers(self) -> tuple[str, ...]:
        """The names of the workers that read."""
        return tuple(name for name, kind in self._workers.items() if kind not in WRITES)

    def all_released(self) -> bool:
        """Whether nobody is in a long statement any more."""
        return all(future.done() for future in self._held)

    def check(self) -> None:
        """Raise what ended a worker: none ends by itself."""
        for future in self._working:
            if future.done():
                future.result()

    def status(self) -> ClusterStatus:
        """Return what the clients' cluster knows."""
        return self.clients.cluster.status()

    def hold(self, node: str | None) -> None:
        """Let one more caller stay in a long statement on the primary, or this node."""
        self._held = [future for future in self._held if not future.done()]
        self._held.append(self._stage.spawn(self.clients.hold, node))

    def storm(self, calls: int) -> None:
        """Let so many callers arrive at once, half of them to read."""
        self._storm = [
            self._stage.spawn(
                self.clients.read if number % 2 else self.clients.keyed, "storm"
            )
            for number in range(calls)
        ]

    def storm_over(self) -> bool:
        """Whether every one of them was answered, one way or the other."""
        return all(future.done() for future in self._storm)

    def newcomer(self, calls: int, url: str | None = None) -> None:
        """Be a client that was restarted: a cluster of its own, a few writes, closed.

        Its rows tell of the epoch that the crew saw; it may know that from the file
        which the crew's cluster keeps.

        Args:
            calls: how often it writes.
            url: the only node that it can reach, if not all: one that was left behind.

        Raises:
            Unavailable: it found no node to use, though it can reach them all.
        """
        settings = self._settings
        if url is not None:
            reachable = {"database_url": SecretStr(url), "database_replica_urls": ()}
            settings = settings.model_copy(update=reachable)
        label = f"{self._label} {secrets.token_hex(4)}"
        clients = self._clients(label, settings)
        opening = clients.open if url is None else clients.open_at_once
        try:
            self._stage.spawn(opening).result()
        except Unavailable:
            if url is None:
                raise
            return  # as it should: the node was left behind
        writing = [self._stage.spawn(clients.write, "newcomer") for _ in range(calls)]
        # A commit that waits for a standby which never comes ends with the cluster.
        wait(writing, _NEWCOMER_S)
        self._stage.spawn(clients.close).result()
        for future in writing:
            future.result(_END_S)
