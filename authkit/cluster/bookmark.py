"""What a request has written, so that it can read it: a token kept in the context.

Explicit on both sides: a write is remembered because somebody says so, and a read asks
for what was remembered. Nothing sticks to a connection or a node. The tasks and threads
that a request is handed to (a framework runs its handlers so) are part of it.

    with bookmark.request(Token.parse(cookie) if cookie else None):
        result, token = cluster.run_with_token(work)
        bookmark.remember(token)
        with cluster.reader(after=bookmark.remembered()) as connection: ...
        cookie = str(bookmark.remembered())
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from authkit.cluster.consistency import Token


class _Request:
    """One request, held in common by every context that was copied from its own.

    A task or a thread has a copy: what it sets there its request never sees.
    """

    __slots__ = ("_lock", "latest")

    def __init__(self, token: Token | None) -> None:
        self.latest = token
        self._lock = threading.Lock()

    def remember(self, token: Token) -> None:
        with self._lock:
            self.latest = token.latest(self.latest)


_current: ContextVar[_Request | None] = ContextVar("authkit_bookmark", default=None)


@contextmanager
def request(token: Token | None = None) -> Generator[None]:
    """Begin with what the client's earlier requests wrote; forget it at the end."""
    mark = _current.set(_Request(token))
    try:
        yield
    finally:
        _current.reset(mark)


def remember(token: Token | None) -> None:
    """Keep the later of this token and what is kept."""
    if token is None:
        return
    current = _current.get()
    if current is None:
        _current.set(_Request(token))
    else:
        current.remember(token)


def remembered() -> Token | None:
    """Return the token of the latest write of this request, if there was one."""
    current = _current.get()
    return None if current is None else current.latest
