"""A crew of clients in one colour, led from a plain thread."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any, Literal, Protocol, TypeAlias

from authkit.cluster import AsyncCluster, Cluster, ClusterStatus
from authkit.cluster.events import Event, Quarantined
from authkit.harness.drills._async.clients import AsyncClients
from authkit.harness.drills._sync.clients import Clients
from authkit.harness.drills.ledger import Kind, Ledger
from authkit.settings import Settings

Colour = Literal["sync", "async"]
AnyClients: TypeAlias = Clients | AsyncClients
# Enough callers for several to be inside the database at every moment.
WORKERS: tuple[Kind, ...] = ("write", "write", "keyed", "keyed", "read", "read")
PAUSE_S = 0.005
_THREADS = 64
_END_S = 30.0


class Stage(Protocol):
    """Where a colour's functions run."""

    def clients(self, settings: Settings, ledger: Ledger, label: str) -> AnyClients:
        """Make clients, their cluster not open yet."""
        ...

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function in the background."""
        ...

    def close(self) -> None:
        """End what it runs in; everything spawned must have ended."""
        ...


class ThreadStage:
    """Threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "authkit drill")
        self._closing = threading.Event()

    def clients(self, settings: Settings, ledger: Ledger, label: str) -> Clients:
        """Make clients for threads."""

        def pause() -> object:
            return self._closing.wait(PAUSE_S)

        return Clients(Cluster(settings), ledger, pause, label=label)

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function in a thread."""
        return self._pool.submit(function, *arguments)

    def close(self) -> None:
        """End the threads."""
        self._closing.set()
        self._pool.shutdown()


class LoopStage:
    """An asyncio loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="authkit drill loop"
        )
        self._thread.start()

    def clients(self, settings: Settings, ledger: Ledger, label: str) -> AsyncClients:
        """Make clients for asyncio."""

        def pause() -> asyncio.Future[None]:
            return asyncio.ensure_future(asyncio.sleep(PAUSE_S))

        return AsyncClients(AsyncCluster(settings), ledger, pause, label=label)

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a coroutine function in a task."""

        async def run() -> Any:
            return await function(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def close(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Crew:
    """Writers and readers at work on one cluster, for the length of a block.

    Args:
        colour: sync or async.
        settings: of the cluster.
        numbers: of the writes, unlike those of any other crew on these servers.
    """

    def __init__(
        self, colour: Colour, settings: Settings, numbers: Iterator[int]
    ) -> None:
        self.colour = colour
        self.ledger = Ledger(numbers)
        self.events: list[tuple[float, Event]] = []
        self._settings = settings
        self._stage: Stage = ThreadStage() if colour == "sync" else LoopStage()
        self._label = secrets.token_hex(4)
        self.clients = self._stage.clients(settings, self.ledger, self._label)
        self.clients.cluster.events.subscribe(self._heard, Quarantined)
        self._working: list[Future[Any]] = []
        self._held: list[Future[Any]] = []
        self._storm: list[Future[Any]] = []

    def __enter__(self) -> Crew:
        try:
            self._stage.spawn(self.clients.open).result()
            for number, kind in enumerate(WORKERS):
                worker = f"{kind} {number}"
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
        return tuple(
            f"{kind} {number}" for number, kind in enumerate(WORKERS) if kind != "read"
        )

    @property
    def readers(self) -> tuple[str, ...]:
        """The names of the workers that read."""
        return tuple(
            f"{kind} {number}" for number, kind in enumerate(WORKERS) if kind == "read"
        )

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

    def newcomer(self, calls: int) -> None:
        """Be a client that was restarted: a cluster of its own, a few writes, closed.

        The epoch of which its rows tell is the crew's, as if it had been kept.
        """
        label = f"{self._label} {secrets.token_hex(4)}"
        clients = self._stage.clients(self._settings, self.ledger, label)
        self._stage.spawn(clients.open).result()
        try:
            for _ in range(calls):
                self._stage.spawn(clients.write, "newcomer").result()
        finally:
            self._stage.spawn(clients.close).result()
