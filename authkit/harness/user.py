"""The user class to build a locustfile on.

```python
from authkit.harness import AuthUser
from locust import task

class Gateway(AuthUser):
    think_s = (0.01, 0.05)

    @task
    def check(self):
        self.kit.sessions.validate(self.world.session().token)
```

Every operation is timed and named by itself, as the registry of operations has it,
beside the role of the node that served it. A call that fails is counted; its error ends
the task and not the run.
"""

from __future__ import annotations

from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import gevent
from locust import User, between
from locust.env import Environment
from locust.exception import RescheduleTask, StopUser

from authkit.errors import AuthkitError, Unavailable
from authkit.harness import hooks
from authkit.harness.run import LoadRun
from authkit.harness.turns import turns
from authkit.harness.world import World

if TYPE_CHECKING:
    from authkit.kit import Kit

# What a client does when nothing can serve it: a moment's pause, not a busy loop.
_PAUSE_S: Final = 0.05


class AuthUser(User):
    """A user of authkit. See the module; `think_s` is the pause under a closed loop."""

    abstract = True
    visiting: str = ""
    """The name by which the task under way is measured: its own, or the one it sets."""
    think_s: ClassVar[tuple[float, float] | None] = None
    """Seconds between two tasks, from and to; None: what the profile says."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.load: LoadRun = hooks.run_of(environment)
        """The run this user is a part of, in this process."""
        low, high = self.think_s or (ms / 1000 for ms in self.load.profile.think_ms)
        self._think = between(low, high)
        declared: list[Any] = list(cast("Any", type(self)).tasks)
        guarded: list[Any] = [_guarded(task) for task in declared]
        plain = guarded and not any(map(_is_set, declared))
        self.tasks = [turns(guarded)] if plain else guarded

    @property
    def kit(self) -> Kit:
        """The kit of this process, open for the length of the run.

        Raises:
            StopUser: the run could not start or has ended; locust ends the user.
        """
        kit = self.load.kit
        if kit is None:
            raise StopUser
        return kit

    @property
    def world(self) -> World:
        """The users and sessions of this process."""
        world = self.load.world
        if world is None:
            raise StopUser
        return world

    def wait_time(self) -> float:
        """Return how long to wait: for the next arrival, or as `think_s` says."""
        if self.load.profile.model == "open":
            return self.load.pull()
        return self._think(self)

    def max_lag(self) -> timedelta | None:
        """Return a staleness bound for the profile's share of reads, None for the rest.

        With a bound a read may go to a replica; without one it goes to the primary.
        """
        profile = self.load.profile
        if self.world.random.random() < profile.replica_share:
            return timedelta(milliseconds=profile.max_lag_ms)
        return None


def _is_set(task: Any) -> bool:
    """Tell a TaskSet from a function, as locust does."""
    return hasattr(task, "tasks")


def _guarded(task: Any) -> Any:
    """Begin a task on its arrival, and end it quietly on an error that was counted."""
    if _is_set(task):  # it begins and ends by locust's own rules
        return task

    @wraps(task)
    def run(user: AuthUser) -> None:
        load = user.load
        if not load.begin():
            raise RescheduleTask
        user.visiting = task.__name__
        try:
            task(user)
            load.ended(user.visiting)
        except AuthkitError as exc:
            load.ended(user.visiting, exc)
            if not load.visits.was_counted(exc):
                raise
            if isinstance(exc, Unavailable):
                gevent.sleep(_PAUSE_S)
        finally:
            load.visits.forget()

    return run
