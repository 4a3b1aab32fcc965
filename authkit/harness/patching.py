"""What must be so before locust may drive psycopg from greenlets.

psycopg chooses how it waits once, at its import: `wait_c` blocks the whole process, so
every greenlet would queue behind every other, and the run would look fastest of all.
"""

from __future__ import annotations

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
