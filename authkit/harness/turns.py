"""The turns of one user: task, pause, task, without locust's own way around.

Locust's loop puts each task into a queue, takes it out, asks what kind of thing it is,
and has the user step back for a moment even where the wait for a server has let all
others run already. What it promises stays: tasks by their weight, the pause that the
user class asks for, a user that is stopped ends after its task, and what a task raises
goes to locust, which decides about it and comes back.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent
from locust.exception import StopUser
from locust.user.task import (
    LOCUST_STATE_RUNNING,
    LOCUST_STATE_STOPPING,
    LOCUST_STATE_WAITING,
)

Task = Callable[[Any], object]
_CHOOSE: Final = random.choice


def turns(tasks: Sequence[Task]) -> Task:
    """Return one task that runs these in turns until one of them raises."""
    only = tasks[0] if len(tasks) == 1 else None

    def take(user: Any) -> None:
        # Counts how often the hub looked at what is ready: who finds that it has,
        # since the task began, has let the others run.
        loop: Any = gevent.get_hub().loop
        while True:
            before: int = loop.iteration
            (only or _CHOOSE(tasks))(user)
            if user._state == LOCUST_STATE_STOPPING:
                raise StopUser
            seconds: float = user.wait_time()
            if seconds > 0 or loop.iteration == before:
                user._state = LOCUST_STATE_WAITING
                gevent.sleep(seconds)
                if user._state == LOCUST_STATE_STOPPING:
                    raise StopUser
                user._state = LOCUST_STATE_RUNNING

    return take
