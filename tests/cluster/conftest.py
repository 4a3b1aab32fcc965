"""One suite for both colours: each test drives the sync and the async cluster alike."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from time import monotonic
from typing import Any

import pytest

from authkit.cluster import AsyncCluster, Cluster
from authkit.cluster.events import Event
from authkit.lab import Lab, cluster
from authkit.ops.migrate import upgrade
from authkit.settings import Settings
from authkit.testing.plugin import memory_folder

PATIENCE_S = 20.0


class Statements:
    """A connection as a test uses it: SQL in, rows out."""

    def __init__(self, connection: Any, wait: Callable[[Any], Any]) -> None:
        self.raw = connection
        self._wait = wait

    @property
    def node(self) -> str:
        return self.raw.node.name

    def execute(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        cursor = self._wait(self.raw.execute(sql, parameters))
        return self._wait(cursor.fetchall()) if cursor.description else []

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self._wait(getattr(self.raw, method)(*arguments, **options))


class Driver:
    """A cluster of either colour, driven from a plain thread."""

    colour: str
    cluster: Any

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.settings = settings
        self.seen: list[tuple[float, Event]] = []
        self._news = threading.Condition()
        self._make(settings, options)
        self.cluster.events.subscribe(self._heard)

    def _make(self, settings: Settings, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def wait(self, awaited: Any) -> Any:
        raise NotImplementedError

    def _heard(self, event: Event) -> None:
        with self._news:
            self.seen.append((monotonic(), event))
            self._news.notify_all()

    def events(self, kind: type[Event]) -> list[Any]:
        return [event for _, event in self.seen if isinstance(event, kind)]

    def await_event(
        self, kind: type[Event], which: Callable[[Any], bool] = lambda _: True
    ) -> tuple[float, Any]:
        """Wait for an event, also one that was seen already."""
        deadline = monotonic() + PATIENCE_S
        with self._news:
            while True:
                for at, event in self.seen:
                    if isinstance(event, kind) and which(event):
                        return at, event
                left = deadline - monotonic()
                assert left > 0, f"no {kind.__name__} among {self.seen}"
                self._news.wait(left)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for a condition that only events can bring about."""
        deadline = monotonic() + PATIENCE_S
        while not (found := condition()):
            left = deadline - monotonic()
            assert left > 0, f"never came to pass: {what}"
            with self._news:
                self._news.wait(min(left, 0.05))
        return found

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.wait(getattr(self.cluster, method)(*arguments, **options))

    def writer(self, **options: Any) -> AbstractContextManager[Statements]:
        return self.lease(self.cluster.writer(**options))

    def reader(self, **options: Any) -> AbstractContextManager[Statements]:
        return self.lease(self.cluster.reader(**options))

    def lease(self, lease: Any) -> AbstractContextManager[Statements]:
        raise NotImplementedError

    def run(self, work: Callable[[Statements], Any], **options: Any) -> Any:
        return self.wait(self.cluster.run(self.work(work), **options))

    def work(self, work: Callable[[Statements], Any]) -> Callable[[Any], Any]:
        raise NotImplementedError

    def open(self, **options: Any) -> Driver:
        self.call("open", **options)
        return self

    def close(self, **options: Any) -> None:
        self.call("close", **options)


class SyncDriver(Driver):
    colour = "sync"

    def _make(self, settings: Settings, options: dict[str, Any]) -> None:
        self.cluster = Cluster(settings, **options)

    def wait(self, awaited: Any) -> Any:
        return awaited

    @contextmanager
    def lease(self, lease: Any) -> Iterator[Statements]:
        with lease as connection:
            yield Statements(connection, self.wait)

    def work(self, work: Callable[[Statements], Any]) -> Callable[[Any], Any]:
        return lambda connection: work(Statements(connection, self.wait))


class AsyncDriver(Driver):
    colour = "async"

    def _make(self, settings: Settings, options: dict[str, Any]) -> None:
        self.loop = options.pop("new_loop", asyncio.new_event_loop)()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.cluster = AsyncCluster(settings, **options)

    def wait(self, awaited: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(_await(awaited), self.loop).result()

    @contextmanager
    def lease(self, lease: Any) -> Iterator[Statements]:
        connection = self.wait(lease.__aenter__())
        try:
            yield Statements(connection, self.wait)
        except BaseException as exc:
            self.wait(lease.__aexit__(type(exc), exc, exc.__traceback__))
            raise
        else:
            self.wait(lease.__aexit__(None, None, None))

    def work(self, work: Callable[[Statements], Any]) -> Callable[[Any], Any]:
        async def run(connection: Any) -> Any:
            return await asyncio.to_thread(work, Statements(connection, self.wait))

        return run

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


async def _await(awaited: Any) -> Any:
    return await awaited if hasattr(awaited, "__await__") else awaited


@pytest.fixture(scope="session")
def shared_database(pair: Lab, template_db: str) -> Iterator[tuple[str, str]]:
    """One migrated database for the cluster's tests: cloning one costs a second.

    Each test works on tables of its own (`table`), so that they do not meet.
    """
    name = f"cluster_{secrets.token_hex(6)}"
    pair.create_database(name, template=template_db)
    pair.wait_replayed()
    yield pair.url("primary", database=name), pair.url("replica", database=name)
    pair.drop_database(name)


@pytest.fixture
def settings(pair: Lab, shared_database: tuple[str, str]) -> Settings:
    """Settings of the shared database: the primary and its replica.

    The replica has replayed what earlier tests wrote: how far behind they left it is
    not what a test is about.
    """
    pair.wait_replayed()
    url, replica_url = shared_database
    return Settings.load(
        env_file=None, database_url=url, database_replica_urls=(replica_url,)
    )


@pytest.fixture
def table() -> str:
    """A table's name that no other test has."""
    return f"public.t_{secrets.token_hex(6)}"


Drive = Callable[..., Driver]


_COLOURS = {"sync": SyncDriver, "async": AsyncDriver}


@contextmanager
def _driving() -> Iterator[Drive]:
    made: list[Driver] = []

    def make(colour: str, settings: Settings, **options: Any) -> Driver:
        driver = _COLOURS[colour](settings, **options)
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.close(timeout=1.0)
        if isinstance(driver, AsyncDriver):
            driver.end()


@pytest.fixture(params=sorted(_COLOURS, reverse=True))
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    """Make clusters of one colour; they are closed after the test."""
    with _driving() as make:
        yield partial(make, request.param)


@pytest.fixture
def drive_each() -> Iterator[Callable[..., list[Driver]]]:
    """Make a cluster of each colour, for one test of both; closed after it."""
    with _driving() as make:
        yield lambda settings: [make(colour, settings) for colour in _COLOURS]


@pytest.fixture(scope="session")
def _victim() -> Iterator[Lab]:
    with cluster(replicas=1, config={"fsync": "off"}, root=memory_folder()) as lab:
        upgrade(lab.url())
        yield lab


@pytest.fixture
def victim(_victim: Lab) -> Lab:
    """A migrated primary and replica to be hurt; made whole before each test."""
    lab = _victim
    if lab.server("primary").condition() == "frozen":
        lab.thaw()
    if lab.server("primary").condition() == "down":
        lab.start()
    for node in lab.nodes:
        if node != lab.primary:
            lab.rejoin(node)
    lab.wait_replayed()
    return lab


@pytest.fixture
def hurt(victim: Lab) -> Settings:
    """Settings of the lab that may be hurt."""
    env = victim.env()
    return Settings.load(
        None,
        database_url=env["DATABASE_URL"],
        database_replica_urls=env["DATABASE_REPLICA_URLS"],
        database_retry_delay=10,
        database_max_retries=10,
    )
