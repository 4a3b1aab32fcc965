"""What connecting returns: one object that joins the rooms.

`with connect() as kit:` for threads, `async with connect_async() as kit:` (or `kit =
await connect_async()`) for asyncio.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self

from authkit.errors import ConfigError
from authkit.kit._async.kit import AsyncKit as _AsyncKit
from authkit.kit._sync.kit import Kit
from authkit.settings import Settings

__all__ = ["AsyncKit", "Kit", "connect", "connect_async"]


class AsyncKit(_AsyncKit):
    """authkit, connected, for asyncio: awaiting it opens it, and so does `async with`.

    One kit serves a whole event loop and any number of concurrent tasks.
    """

    def __await__(self) -> Generator[Any, Any, Self]:
        return self.open().__await__()


def connect(settings: Settings | None = None) -> Kit:
    """Connect to the cluster that the environment, or these settings, name.

    The kit is open when this returns. Close it, or use it as a block.

    Raises:
        ConfigError: the settings are faulty, or name no database; every fault at once.
        Unavailable: no node can be used; the message gives each one's reason.
    """
    return Kit(_checked(settings)).open()


def connect_async(settings: Settings | None = None) -> AsyncKit:
    """Return a kit for asyncio: open it with `await`, or with `async with`.

    Raises:
        ConfigError: the settings are faulty, or name no database; every fault at once.
    """
    return AsyncKit(_checked(settings))


def _checked(given: object) -> Settings | None:
    """Refuse what is easily given instead, a URL, without repeating its password."""
    if given is None or isinstance(given, Settings):
        return given
    what = f"connect takes Settings and not {type(given).__name__}"
    raise ConfigError([f"{what}: for a URL, connect(Settings.load(database_url=...))"])
