"""What locust and the recorder cost an operation, beside greenlets that have neither.

One process, two kits of the same settings: greenlets that call `kit.sessions.validate`
one after another, and locust users with the same call as their task. They take turns of
a quarter of a second, the users with less and less of the harness: each part is what a
turn with it costs more than the next one without it.

`python -m authkit.harness.arms SECONDS` prints JSON: for each arm, CPU microseconds of
this process per operation in every turn.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from time import perf_counter, process_time
from typing import Any, Final

import gevent
from gevent.event import Event
from locust import task
from locust.env import Environment
from locust.event import Events

import authkit
from authkit.harness import hooks
from authkit.harness.run import LoadRun
from authkit.harness.user import AuthUser

_USERS: Final = 8
_READY_S: Final = 60.0
_TURN_S: Final = 0.25
_SETTLE_S: Final = 0.05


class Gate:
    """Lets one group work at a time, and counts what it does."""

    def __init__(self) -> None:
        self.done = 0
        self.closed = True
        self._opened = Event()

    def wait(self) -> None:
        """Wait until the group has its turn."""
        self._opened.wait()

    def open(self) -> None:
        """Give the group its turn."""
        self.closed = False
        self._opened.set()

    def cost(self) -> float:
        """Let the group work for a turn; return CPU microseconds per operation."""
        self.open()
        gevent.sleep(_SETTLE_S)
        before, cpu = self.done, process_time()
        gevent.sleep(_TURN_S)
        spent, done = process_time() - cpu, self.done - before
        self.closed = True
        self._opened.clear()
        gevent.sleep(_SETTLE_S)
        return spent * 1e6 / max(1, done)


_BARE: Final = Gate()
_LOCUST: Final = Gate()


class Checker(AuthUser):
    """Checks a session, again and again."""

    think_s = (0.0, 0.0)

    @task
    def check(self) -> None:
        """Check a session on the primary."""
        if _LOCUST.closed:
            _LOCUST.wait()
        self.kit.sessions.validate(self.world.session().token)
        _LOCUST.done += 1


def _bare(kit: Any, load: Any) -> None:
    while True:
        if _BARE.closed:
            _BARE.wait()
        kit.sessions.validate(load.world.session().token)
        _BARE.done += 1


def _ignore(*_: object) -> None:
    """Take what the registry tells of a call, and do nothing with it."""


def _hear(**_: object) -> None:
    """Take the event of a request, and do nothing with it."""


def _arms(load: LoadRun, request: Any) -> Mapping[str, Callable[[], float]]:
    """Return what to measure, by name, from nothing of ours to more than all of it."""

    def observed_by(observer: Any) -> float:
        load.listen(observer)
        try:
            return _LOCUST.cost()
        finally:
            load.listen(load.observe)

    def heard() -> float:
        request.add_listener(_hear)
        try:
            return _LOCUST.cost()
        finally:
            request.remove_listener(_hear)

    return {
        "raw": _BARE.cost,
        "unwatched": lambda: observed_by(None),
        "unrecorded": lambda: observed_by(_ignore),
        "locust": _LOCUST.cost,
        "heard": heard,
    }


def main(seconds: float) -> int:
    """Measure every arm for so long in turns, and print what each turn cost."""
    environment = Environment(
        user_classes=[Checker],
        events=Events(),
        parsed_options=Namespace(authkit_status=""),
    )
    runner: Any = environment.create_local_runner()
    hooks.join(environment, runner)
    runner.start(_USERS, spawn_rate=_USERS)
    deadline = perf_counter() + _READY_S
    while runner.user_count < _USERS or runner.state != "running":
        if perf_counter() > deadline:
            return 2
        gevent.sleep(0.05)
    load = hooks.run_of(environment)
    kit = authkit.connect(load.settings().require_database())
    greenlets: list[Any] = [gevent.spawn(_bare, kit, load) for _ in range(_USERS)]
    events: Any = environment.events
    arms = _arms(load, events.request)
    costs: dict[str, list[float]] = {name: [] for name in arms}
    try:
        for _ in range(max(2, round(seconds / _TURN_S))):
            for name, measure in arms.items():
                costs[name].append(measure())
    finally:
        gevent.killall(greenlets)
        kit.close()
        _LOCUST.open()
        runner.stop()
    print(json.dumps(costs))  # noqa: T201 # the pipe is the interface
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
