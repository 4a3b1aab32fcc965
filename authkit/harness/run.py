"""One process of a load run: the kit it uses, what it measures, what it hands over.

Locust's events drive it (see `hooks`): `start` after the fork, `stop` when the users
have ended. Nothing here is shared between processes; recordings travel through
locust's own messages.
"""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from gevent import getcurrent, sleep, spawn
from locust.env import Environment
from locust.runners import WorkerRunner

from authkit.errors import NotFound
from authkit.harness import greenlets, patching, standing
from authkit.harness.database import DatabaseSide, Sampler, fingerprint, node_name
from authkit.harness.errorclass import CallFailed, error_class
from authkit.harness.history import Gathered, History, Kind
from authkit.harness.options import LoadOptions
from authkit.harness.phases import Mark
from authkit.harness.recorder import Recorder, steady_wall_clock
from authkit.harness.recording import NO_NODE, Recording, merged
from authkit.harness.schedule import Schedule, offsets
from authkit.harness.summary import WAITING
from authkit.harness.tally import Tally
from authkit.harness.visits import Visits
from authkit.harness.world import OpenSession, World
from authkit.hot import CreationRefused

if TYPE_CHECKING:
    from authkit.hot.observing import Observer
    from authkit.kit import Kit
    from authkit.settings import Settings

logger: Final = logging.getLogger("authkit.harness")
SLOT_S: Final = 0.25
_BEAT_S: Final = 0.02
STATUS: Final = "@authkit "
_LIFETIME: Final = timedelta(hours=8)


class LoadRun:
    """The load of one process."""

    def __init__(self, environment: Environment, options: LoadOptions) -> None:
        self.environment = environment
        self.tally = Tally(environment)
        self.options = options
        self.profile = options.profile
        self.clock = steady_wall_clock()
        self.kit: Kit | None = None
        self.world: World | None = None
        self._parts: list[Recording] = []
        self.started_s: float | None = None
        self.stopped_s: float | None = None
        self.postgres: str | None = None
        self.database: DatabaseSide | None = None
        self.marks: tuple[Mark, ...] = ()
        self.calls = 0
        self.errors = 0
        self._recorder: Recorder | None = None
        self._schedule: Schedule | None = None
        self._history: History | Gathered | None = None
        self._sampler: Sampler | None = None
        self.visits = Visits()
        self._waits: dict[object, float] = {}
        self._failures: dict[str, CallFailed] = {}
        self._unheard: Callable[[], None] | None = None

    def settings(self, overrides: Mapping[str, Any] | None = None) -> Settings:
        """Read the settings of the environment, or those that a master handed over."""
        from authkit.settings import Settings

        return Settings.load(**(overrides or {}))

    # --- the life of a run ------------------------------------------------------------

    def start(self, overrides: Mapping[str, Any]) -> None:
        """Open the kit, make the world, begin to measure.

        Args:
            overrides: values of `Settings` that go before the environment.

        Raises:
            AuthkitError: the order of patching, the settings or the database.
        """
        import authkit

        patching.check_order()
        greenlets.install()
        patching.keep_connections_of_killed_users()
        patching.time_waits(self._waits)
        # What happens to nodes is counted and drawn; a line for each time that a pool
        # or the watcher of a node notices says less, and there are many.
        for name in ("psycopg.pool", "authkit.cluster"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        settings = standing.with_keys(self.settings(overrides).require_database())
        if (path := self.options.history) is not None:
            worker = isinstance(self.environment.runner, WorkerRunner)
            self._history = Gathered() if worker else History(path, anew=True)
        self.kit = authkit.connect(settings)
        self.postgres = standing.version(self.kit)
        self.world = World(standing.users(self.kit), self.profile.zipf, os.getpid())
        one = partial(self.open_session, self.kit, self.world)
        self.world.stand(standing.sessions(one, self.profile.sessions))
        standing.warm_up(self.kit, self.world, self.profile.weights)
        self._parts.clear()
        self._recorder = Recorder(
            slot_s=SLOT_S,
            loop=self.profile.model,
            clock=self.clock,
            closed=self.tally.add,
        )
        self.tally.close = self._recorder.close
        if self.profile.model == "open":
            rate = self.profile.rate / self.options.workers
            arrivals = offsets(
                self.profile.arrivals, rate, float("inf"), seed=os.getpid()
            )
            self._schedule = Schedule(arrivals, self.clock())
        self.listen(self.observe)
        standing.count_events(self.kit, self.count)
        # What is there by now stays: no collection of garbage need look at it again.
        gc.collect()
        gc.freeze()
        spawn(self.beat)
        self.started_s, self.stopped_s = self.clock(), None

    def end_arrivals(self) -> None:
        """Begin on no arrival any more; count those that still wait for somebody."""
        if self._schedule is not None and self._recorder is not None:
            self._recorder.count(WAITING, times=self._schedule.end(self.clock()))

    def stop(self) -> None:
        """Close the kit and keep what was measured; stopping twice does nothing."""
        if self.stopped_s is None:
            self.stopped_s = self.clock()
        self.collect()
        self._recorder = self._schedule = None
        kit, self.kit = self.kit, None
        if kit is not None:
            kit.close()
        if self._history is not None:
            self._history.close()
            self._history = None

    def watch(self, overrides: Mapping[str, Any]) -> None:
        """Begin to sample the servers, where a report will show them."""
        if self.options.report is None:
            return
        from authkit.hot.registry import OPERATIONS

        nodes = {
            node_name(url.get_secret_value()): url.get_secret_value()
            for url in self.settings(overrides).urls
        }
        known = {fingerprint(operation.sql): operation.name for operation in OPERATIONS}
        self._sampler = Sampler(nodes, known, clock=self.clock)
        self._sampler.start()

    def unwatch(self) -> None:
        """End the sampling."""
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            self.database = sampler.stop()

    def drain(self) -> Recording:
        """Hand over what was measured since the last time."""
        if self._recorder is None:
            return Recording(SLOT_S, self.profile.model)
        if self._schedule is not None:
            self._recorder.skip(self._schedule.skipped)
            self._schedule.skipped = 0
        return self._recorder.drain()

    def acknowledgements(self) -> str:
        """Hand over the lines of the history that this process has gathered."""
        return self._history.drain() if isinstance(self._history, Gathered) else ""

    def collect(self) -> None:
        """Add what was measured since the last time to the whole."""
        self.take(self.drain())

    def take(self, part: Recording) -> None:
        """Add what another process measured to the whole."""
        self._parts.append(part)

    def total(self) -> Recording:
        """Return everything that was measured, of all processes."""
        return merged((Recording(SLOT_S, self.profile.model), *self._parts))

    def tell(self, event: str, **values: object) -> None:
        """Write a line of progress for the program that started the load, if any."""
        if self.options.status:
            line = json.dumps({"event": event, **values})
            print(f"{STATUS}{line}", flush=True)  # noqa: T201 # the pipe is the interface

    def listen(self, observer: Observer | None) -> None:
        """Have the kit tell this observer of every call, and no other of ours."""
        if self._unheard is not None:
            self._unheard()
        if self.kit is not None:
            self._unheard = None if observer is None else self.kit.observe(observer)

    # --- what the users of the load call ----------------------------------------------

    def beat(self) -> None:
        """Watch how late a timer of this process is, for as long as the run goes on.

        A generator that is short of processor time is late with everything, and then
        what it measures is itself.
        """
        while (recorder := self._recorder) is not None:
            due = self.clock() + _BEAT_S
            sleep(_BEAT_S)
            recorder.lagged(max(0.0, self.clock() - due))
            recorder.close_if_over()

    def pull(self) -> float:
        """Take the next arrival for the calling greenlet; return how long to wait."""
        if self._schedule is None:
            return 0.0
        due = self._schedule.pull(self.clock())
        if due is None:
            return 3600.0  # the schedule is at its end: until the run stops
        self.visits.expect(due)
        return due.wait_s

    def begin(self) -> bool:
        """Note that the greenlet begins on its arrival; False when it has none yet."""
        now = self.clock()
        due = self.visits.begin(now)
        if self._schedule is None:
            return True
        if due is None or self._recorder is None:
            self.visits.forget()
            return False
        self._recorder.arrival(due.lag_s(now), late=due.late)
        return True

    def ended(self, name: str, error: BaseException | None = None) -> None:
        """Measure the greenlet's task as a whole, where it has several operations."""
        visit = self.visits.measured(name)
        if visit is not None and self._recorder is not None:
            now = self.clock()
            self._recorder.visited(
                name,
                now - visit.began_s,
                None if visit.due_s is None else now - visit.due_s,
                None if error is None else error_class(error),
            )

    def acknowledged(self, kind: Kind, row_id: UUID) -> None:
        """Note a write that the database acknowledged."""
        if self._history is not None:
            self._history.acknowledge(kind, row_id, self.clock())

    def observe(
        self,
        operation: str,
        node: str,
        role: str,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Measure one call; the kit calls this in the greenlet of the caller."""
        recorder = self._recorder
        if recorder is None:
            return
        now = self.clock()
        response_s = self.visits.called(now, seconds)
        failure: CallFailed | None = None
        name: str | None = None
        if error is not None:
            if not isinstance(error, Exception):
                return  # the run ended and killed its user: neither success nor failure
            self.visits.failed(error)
            name = error_class(error)
            failure = self._failures.setdefault(name, CallFailed(name))
            self.errors += 1
        self.calls += 1
        tally = self.tally
        if len(tally.listeners) != tally.seen:
            tally.look()
        recorder.record(
            operation,
            role,
            node,
            seconds,
            response_s=None if self._schedule is None else response_s,
            error=name,
            wait_s=self._waits.pop(getcurrent(), 0.0) if self._waits else 0.0,
            now=now,
        )
        if failure is not None or not tally.batched:
            tally.tell(operation, role, response_s, failure)

    def count(self, what: str, node: str = NO_NODE) -> None:
        """Count something that happened beside the calls; see `summary`."""
        if self._recorder is not None:
            self._recorder.count(what, node)

    # --- the world --------------------------------------------------------------------

    def open_session(
        self, kit: Kit, world: World, who: UUID | None = None
    ) -> OpenSession:
        """Open one session, of anybody or of one user; note its acknowledgement."""
        user = who or world.user()
        made = kit.sessions.create(
            user,
            lifetime=_LIFETIME,
            ip=world.address(),
            user_agent=world.browser(),
        )
        if isinstance(made, CreationRefused):
            raise NotFound(f"no session: {made.value}")
        self.acknowledged("session", made.id)
        return OpenSession(made.token, made.id, user)
