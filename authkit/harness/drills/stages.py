"""Where clients of a colour run: threads, or a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeAlias

from authkit.cluster import AsyncCluster, Cluster
from authkit.harness.drills._async.clients import AsyncClients
from authkit.harness.drills._async.visitors import AsyncVisitors
from authkit.harness.drills._sync.clients import Clients
from authkit.harness.drills._sync.visitors import Visitors
from authkit.harness.drills.ledger import Ledger
from authkit.harness.drills.rounds import Colour
from authkit.harness.drills.tally import Users
from authkit.settings import Settings

AnyClients: TypeAlias = Clients | AsyncClients
AnyVisitors: TypeAlias = Visitors | AsyncVisitors
_THREADS = 256


class Stage(Protocol):
    """Makes clients of one colour and runs their functions."""

    def clients(
        self, settings: Settings, ledger: Ledger, *, label: str, pause_s: float
    ) -> AnyClients:
        """Make clients, their cluster not open yet."""
        ...

    def visitors(
        self, settings: Settings, users: Users, *, writes: float
    ) -> AnyVisitors:
        """Make visitors, their cluster not open yet."""
        ...

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function in the background."""
        ...

    def close(self) -> None:
        """End what it runs in; everything spawned must have ended."""
        ...


def stage(colour: Colour) -> Stage:
    """Make the stage of a colour."""
    return ThreadStage() if colour == "sync" else LoopStage()


class ThreadStage:
    """Threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "authkit drill")
        self._closing = threading.Event()

    def clients(
        self, settings: Settings, ledger: Ledger, *, label: str, pause_s: float
    ) -> Clients:
        """Make clients for threads."""

        def pause() -> object:
            return self._closing.wait(pause_s)

        return Clients(Cluster(settings), ledger, pause, label=label)

    def visitors(self, settings: Settings, users: Users, *, writes: float) -> Visitors:
        """Make visitors for threads."""
        return Visitors(Cluster(settings), users, writes=writes)

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

    def clients(
        self, settings: Settings, ledger: Ledger, *, label: str, pause_s: float
    ) -> AsyncClients:
        """Make clients for asyncio."""

        async def pause() -> None:
            await asyncio.sleep(pause_s)

        return AsyncClients(AsyncCluster(settings), ledger, pause, label=label)

    def visitors(
        self, settings: Settings, users: Users, *, writes: float
    ) -> AsyncVisitors:
        """Make visitors for asyncio."""
        return AsyncVisitors(AsyncCluster(settings), users, writes=writes)

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
