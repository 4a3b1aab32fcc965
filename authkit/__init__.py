"""Operations toolkit and benchmark harness for authentication data on PostgreSQL.

The public names below load on first use, so that importing the package costs
nothing until a room is entered.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.kit import AsyncKit, Kit, connect, connect_async
    from authkit.settings import Settings

__version__ = "0.1.0"

__all__ = ["AsyncKit", "Kit", "Settings", "__version__", "connect", "connect_async"]

_HOMES = {
    "AsyncKit": "authkit.kit",
    "Kit": "authkit.kit",
    "connect": "authkit.kit",
    "connect_async": "authkit.kit",
    "Settings": "authkit.settings",
}
_ROOMS = frozenset(
    {
        "analysis",
        "cluster",
        "crypto",
        "errors",
        "figures",
        "harness",
        "hot",
        "ids",
        "kit",
        "lab",
        "ops",
        "relational",
        "risk",
        "schema",
        "settings",
        "testing",
        "workload",
    }
)


def __getattr__(name: str) -> object:
    """Load a public name, or a room of the package, on first use."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"authkit.{name}")
    raise AttributeError(f"module 'authkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})
