"""Load tests with locust: users, recorder, schedule, goals, report, history checker.

`from authkit.harness import AuthUser` is the start of a locustfile of your own. It
patches for gevent on its way in, as `import locust` does: import it first, before
anything that imports psycopg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.harness.user import AuthUser

__all__ = ["AuthUser"]


def __getattr__(name: str) -> object:
    """Load `AuthUser`, and with it locust, only when it is asked for."""
    if name == "AuthUser":
        from authkit.harness.user import AuthUser

        return AuthUser
    raise AttributeError(f"module 'authkit.harness' has no attribute {name!r}")
