"""What locust and the recorder cost an operation, beside greenlets that have neither.

Both arms run in one process, on kits of the same settings, in turns: `raw` is greenlets
that call `kit.sessions.validate` one after another, `locust` is users with the same
call as their task. `python -m authkit.harness.arms SECONDS ROUNDS` prints JSON: CPU
microseconds of this process per operation for each turn.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from time import perf_counter, process_time
from typing import Any, Final

import gevent
from locust import task
from locust.env import Environment
from locust.event import Events

import authkit
from authkit.harness import hooks
from authkit.harness.user import AuthUser

_USERS: Final = 8
_READY_S: Final = 60.0


class Checker(AuthUser):
    """Checks a session, again and again."""

    think_s = (0.0, 0.0)

    @task
    def check(self) -> None:
        """Check a session on the primary."""
        self.kit.sessions.validate(self.world.session().token)


def _cost(seconds: float, calls: Any) -> float:
    """Return CPU microseconds per call over so many seconds."""
    before, cpu = calls(), process_time()
    gevent.sleep(seconds)
    return (process_time() - cpu) * 1e6 / max(1, calls() - before)


def raw(load: Any, seconds: float) -> float:
    """Return the cost of greenlets with a kit of their own that nobody observes."""
    done = [0]
    kit = authkit.connect(load.settings().require_database())

    def work() -> None:
        while True:
            kit.sessions.validate(load.world.session().token)
            done[0] += 1

    greenlets: list[Any] = [gevent.spawn(work) for _ in range(_USERS)]
    try:
        gevent.sleep(0.2)
        return _cost(seconds, lambda: done[0])
    finally:
        gevent.killall(greenlets)
        kit.close()


def main(seconds: float, rounds: int) -> int:
    """Measure both arms in turns and print what each turn cost."""
    environment = Environment(
        user_classes=[Checker],
        events=Events(),
        parsed_options=Namespace(authkit_status=""),
    )
    runner: Any = environment.create_local_runner()
    hooks.join(environment, runner)
    costs: dict[str, list[float]] = {"raw": [], "locust": []}
    for _ in range(rounds):
        runner.start(_USERS, spawn_rate=_USERS)
        deadline = perf_counter() + _READY_S
        while runner.user_count < _USERS or runner.state != "running":
            if perf_counter() > deadline:
                return 2
            gevent.sleep(0.05)
        load = hooks.run_of(environment)
        gevent.sleep(0.2)
        counted = load
        costs["locust"].append(_cost(seconds, lambda run=counted: run.calls))
        runner.stop()
        costs["raw"].append(raw(load, seconds))
    print(json.dumps(costs))  # noqa: T201 # the pipe is the interface
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
