"""Joins `LoadRun` to locust's events, in one process or over many.

Workers send what they measured with each of locust's reports and once more when their
users have ended; the master merges the recordings and waits for the last ones. Only
the master, or the only process, writes files and decides the exit code.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent
from locust import events
from locust.env import Environment
from locust.runners import STATE_STOPPED, MasterRunner, Runner, WorkerRunner

from authkit.errors import AuthkitError, ConfigError
from authkit.harness import faults, outcome
from authkit.harness import options as load_options
from authkit.harness.attendant import Attendant
from authkit.harness.history import History, temporary
from authkit.harness.interrupting import Interruption, bound_the_end
from authkit.harness.recorder import Recording
from authkit.harness.run import LoadRun

logger: Final = logging.getLogger("authkit.harness")
STOP_TIMEOUT_S: Final = 5.0
_LAST_WORD_S: Final = 20.0
_START_S: Final = 180.0
_PROGRESS_S: Final = 0.5
_PART: Final = "authkit_recording"
_WRITES: Final = "authkit_writes"
_STARTED: Final = "authkit-started"
_FINISH: Final = "authkit-finish"
_FINAL: Final = "authkit-final"
_FAILED: Final = "authkit-failed"


class Hooks:
    """The listeners of one locust environment."""

    def __init__(self, environment: Environment, runner: Runner) -> None:
        self.environment = environment
        self.runner = runner
        self.attendant: Attendant | None = None
        self.failure: str | None = None
        self._started: set[str] = set()
        self._final: set[str] = set()
        self._timer: Any = None
        self._strikes: list[Any] = []
        self._due: list[faults.Fault] = []
        self._history: Path | None = None
        self._ended = False
        Interruption(lambda: self._ended).listen()
        # Without one, locust kills its users in the middle of a statement.
        environment.stop_timeout = environment.stop_timeout or STOP_TIMEOUT_S
        self.run = LoadRun(environment, self._options())
        listen: Any = environment.events  # its hooks are not typed
        messages: Any = runner
        listen.test_start.add_listener(self.on_test_start)
        listen.test_stopping.add_listener(self.on_test_stopping)
        listen.test_stop.add_listener(self.on_test_stop)
        if environment.reset_stats:
            listen.spawning_complete.add_listener(self.on_spawning_complete)
        listen.quitting.add_listener(self.on_quitting)
        if isinstance(runner, WorkerRunner):
            listen.report_to_master.add_listener(self.on_report_to_master)
            messages.register_message(_FINISH, self.on_finish, concurrent=True)
            return
        if isinstance(runner, MasterRunner):
            listen.worker_report.add_listener(self.on_worker_report)
            messages.register_message(_STARTED, self.on_started)
            messages.register_message(_FINAL, self.on_final)
            messages.register_message(_FAILED, self.on_failed, concurrent=True)
        self._attend()

    def _attend(self) -> None:
        """Start the process that holds the lab or inflicts the faults, where needed."""
        options = self.run.options
        urls = [url.get_secret_value() for url in self.run.settings().urls]
        if urls and not options.faults:
            return
        attendant = self.attendant = Attendant()
        try:
            ready = attendant.start(urls)
            if not urls:
                self._values()["authkit_database"] = ready
            faults.check(
                options.faults,
                lab=attendant.lab,
                allowed=options.fault_outside_lab,
                tables=faults.table_names(),
            )
        except BaseException:
            attendant.stop()
            raise
        if options.faults and options.history is None:
            # What was acknowledged must be there after a fault: always asked.
            self._history = temporary()
            self._values()["authkit_history"] = str(self._history)

    def _values(self) -> dict[str, Any]:
        """Every option by name; what is put here travels from master to workers."""
        return vars(self.environment.parsed_options)

    def _options(self) -> load_options.LoadOptions:
        from authkit.harness.flows import STEPS
        from authkit.hot.registry import BY_NAME

        return load_options.read(self._values(), {*BY_NAME, *STEPS})

    # --- a test begins ----------------------------------------------------------------

    def on_test_start(self, **_: Any) -> None:
        """Start the run of this process; on the master, tell the workers how many."""
        self.failure = None
        self._final.clear()
        if isinstance(self.runner, MasterRunner):
            self._started.clear()
            self._values()["authkit_workers"] = len(self.runner.clients.ready)
            self.run = LoadRun(self.environment, self._options())
            self.run.started_s = self.run.clock()
            try:
                if (path := self.run.options.history) is not None:
                    History(path, anew=True).close()
            except AuthkitError as exc:
                self.fail(str(exc))
            self.run.watch(self._database())
            return
        try:
            with gevent.Timeout(_START_S, TimeoutError(f"no answer in {_START_S:g} s")):
                self.run = LoadRun(self.environment, self._options())
                self.run.start(self._database())
        except AuthkitError as exc:
            self.fail(str(exc))
            return
        except Exception as exc:
            # Locust would log it and go on without users, for ever.
            logger.exception("the load could not start")
            self.fail(f"{type(exc).__name__} at the start")
            return
        if isinstance(self.runner, WorkerRunner):
            self.runner.send_message(_STARTED, {"postgres": self.run.postgres})
            return
        self.run.watch(self._database())
        self._timer = gevent.spawn(self._go_on, self.run)

    def _database(self) -> dict[str, Any]:
        return self._values().get("authkit_database") or {}

    def _go_on(self, run: LoadRun) -> None:
        """Tell the progress, strike, and end the run when its time is over."""
        started = run.started_s or run.clock()
        if self.attendant is not None:
            self.attendant.marks.clear()
            self._due = list(run.options.faults)
            self._strikes = [
                gevent.spawn_later(fault.at_s, self._strike, fault, number)
                for number, fault in enumerate(run.options.faults)
            ]
        run.tell("started", at_s=started)
        while run.stopped_s is None:
            left = (run.options.seconds or float("inf")) - (run.clock() - started)
            if left <= 0:
                gevent.spawn(self.runner.quit)
                return
            gevent.sleep(min(left, _PROGRESS_S))
            run.tell("progress", calls=run.calls, errors=run.errors)

    def _strike(self, fault: faults.Fault, number: int) -> None:
        if self.attendant is not None:
            self._due.remove(fault)
            self.attendant.inflict(fault, number)

    def fail(self, problem: str) -> None:
        """End a test that cannot start, with exit code 2 and the reason in one line."""
        self.failure = problem
        if isinstance(self.runner, WorkerRunner):
            self.runner.send_message(_FAILED, {"problem": problem})
            return
        logger.error("the load cannot run: %s", problem)
        gevent.spawn(self.runner.quit)

    def on_spawning_complete(self, **_: Any) -> None:
        """All users are there, and locust has begun its statistics anew."""
        self.run.tally.reset()

    # --- a test ends ------------------------------------------------------------------

    def on_test_stopping(self, **_: Any) -> None:
        """The users of this process are told to stop."""
        self.run.end_arrivals()

    def on_test_stop(self, **_: Any) -> None:
        """Close the kit and hand over the rest; on the master, wait for all of it."""
        if isinstance(self.runner, WorkerRunner):
            rest: dict[str, Any] = {}
            self._hand_over(rest)
            self.run.stop()
            self.runner.send_message(_FINAL, rest)
            return
        if isinstance(self.runner, MasterRunner):
            self.run.stopped_s = self.run.clock()
            self._wait_for_workers(self.runner)
        self._timer = None
        gevent.killall(self._strikes, block=False)
        self.run.stop()
        if self.attendant is not None:
            self.attendant.heal()
            self.run.marks = tuple(self.attendant.marks)
            self.failure = self.failure or self.attendant.problem
            if self._due and self.failure is None:
                self.failure = f"{self._due[0]}: the run was ended before that"
        self.run.unwatch()
        self.run.tell("stopped", at_s=self.run.stopped_s)

    def _wait_for_workers(self, master: MasterRunner) -> None:
        master.send_message(_FINISH)
        deadline = self.run.clock() + _LAST_WORD_S
        while silent := self._started - self._final:
            missing = {client.id for client in master.clients.missing}
            if silent <= missing or self.run.clock() > deadline:
                lost = f"{len(silent)} of {len(self._started)} workers"
                self.failure = f"{lost} were lost: the figures are not complete"
                return
            gevent.sleep(0.02)

    def on_quitting(self, **_: Any) -> None:
        """End the test if it still runs, write the files, decide the exit code."""
        if self._ended:
            return
        self._ended = True
        bound_the_end()
        if self.runner.state != STATE_STOPPED:
            if isinstance(self.runner, MasterRunner):
                self.runner.stop(send_stop_to_client=False)
            else:
                self.runner.stop()
        if isinstance(self.runner, WorkerRunner):
            return
        code = outcome.finish(self.run, self.failure, self._database())
        if code is not None:
            self.environment.process_exit_code = code
        if self.attendant is not None:
            self.attendant.stop()
        if self._history is not None:
            self._history.unlink(missing_ok=True)

    # --- messages between master and workers ------------------------------------------

    def on_report_to_master(self, data: dict[str, Any], **_: Any) -> None:
        """Send what was measured since the last report along with locust's own."""
        self._hand_over(data)

    def _hand_over(self, data: dict[str, Any]) -> None:
        part = self.run.drain()
        if part.cells or part.lag:
            data[_PART] = part.as_dict()
        if writes := self.run.acknowledgements():
            data[_WRITES] = writes

    def on_worker_report(self, data: dict[str, Any], **_: Any) -> None:
        """Merge what a worker measured."""
        writes, form = data.pop(_WRITES, None), data.pop(_PART, None)
        if writes is not None and self.run.options.history is not None:
            with History(self.run.options.history) as ledger:
                ledger.append(writes)
        if form is None:
            return
        part = Recording.from_dict(form)
        total = part.select()
        self.run.calls += total.calls
        self.run.errors += total.failed.count
        self.run.take(part)

    def on_started(self, msg: Any, **_: Any) -> None:
        """A worker measures; the run begins when all of them do."""
        self._started.add(msg.node_id)
        self.run.postgres = msg.data["postgres"]
        if len(self._started) == self.run.options.workers and self._timer is None:
            self.run.started_s = self.run.clock()
            self._timer = gevent.spawn(self._go_on, self.run)

    def on_finish(self, **_: Any) -> None:
        """The master asks for an end: stop the users, which sends the rest."""
        if self.runner.state != STATE_STOPPED:
            self.runner.stop()

    def on_final(self, msg: Any, **_: Any) -> None:
        """Merge the last part of a worker."""
        self.on_worker_report(msg.data)
        self._final.add(msg.node_id)

    def on_failed(self, msg: Any, **_: Any) -> None:
        """A worker cannot take part: the run would not be what was asked for."""
        if self.failure is None:
            self.fail(str(msg.data["problem"]))


_hooks: WeakKeyDictionary[Environment, Hooks] = WeakKeyDictionary()


def run_of(environment: Environment) -> LoadRun:
    """Return the run of an environment, as of its last start."""
    return _hooks[environment].run


def _add_arguments(parser: Any, **_: Any) -> None:
    load_options.add_arguments(parser)


def join(environment: Environment, runner: Runner, **_: Any) -> None:
    """Give an environment its listeners; end the process where that cannot be."""
    try:
        _hooks[environment] = Hooks(environment, runner)
    except AuthkitError as exc:
        for problem in exc.problems if isinstance(exc, ConfigError) else (exc,):
            print(f"authkit: {problem}", file=sys.stderr)  # noqa: T201 # before any log is set up to show it plainly
        sys.exit(2)
    # Locust sets its timers next, by a clock that stood still while this was loaded.
    gevent.get_hub().loop.update_now()


_listen: Final[Any] = events  # its hooks are not typed
_listen.init_command_line_parser.add_listener(_add_arguments)
_listen.init.add_listener(join)
