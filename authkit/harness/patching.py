"""What must be so before locust may drive psycopg from greenlets.

psycopg chooses how it waits once, at its import: `wait_c` blocks the whole process, so
every greenlet would queue behind every other, and the run would look fastest of all.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from gevent import getcurrent

from authkit.errors import ConfigError


def check_order() -> None:
    """Refuse to go on when gevent came too late.

    Raises:
        ConfigError: psycopg was imported before gevent patched the process.
    """
    from psycopg import waiting

    if getattr(waiting.wait, "__name__", "") == "wait_c":
        problem = (
            "psycopg was imported before gevent patched the process: import locust"
            " (or authkit.harness.AuthUser) first, before authkit or psycopg"
        )
        raise ConfigError([problem])


def keep_connections_of_killed_users() -> None:
    """Let the pool take back the place of a greenlet that was killed while it waited.

    psycopg_pool cleans up on `Exception`; a greenlet is killed by `GreenletExit`, which
    is not one, so each killed user that waited for a connection lost it for good.
    """
    from psycopg_pool import pool

    setattr(pool, "CLIENT_EXCEPTIONS", BaseException)  # noqa: B010 # a module constant, set on purpose


def time_waits(waits: dict[object, float]) -> None:
    """Note for each greenlet how long it waits in a pool's queue for a connection.

    Who finds a free connection is not in the queue, and costs nothing here. The
    observer of operations is told one time for wait and work together; `waits` is what
    tells them apart.
    """
    from psycopg_pool import pool

    client: Any = pool.WaitingClient
    wait = getattr(client.wait, "__wrapped__", client.wait)

    def timed(self: object, timeout: float) -> object:
        began = perf_counter()
        try:
            return wait(self, timeout)
        finally:
            here: object = getcurrent()
            waits[here] = waits.get(here, 0.0) + perf_counter() - began

    setattr(timed, "__wrapped__", wait)  # noqa: B010 # what a second run unwraps
    client.wait = timed
