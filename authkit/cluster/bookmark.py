"""What a request has written, so that it can read it: a token kept in the context.

Explicit on both sides: a write is remembered because somebody says so, and a read asks
for what was remembered. Nothing sticks to a connection or a node.

    with bookmark.request(Token.parse(cookie) if cookie else None):
        result, token = cluster.run_with_token(work)
        bookmark.remember(token)
        with cluster.reader(after=bookmark.remembered()) as connection: ...
        cookie = str(bookmark.remembered())
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from authkit.cluster.consistency import Token

_latest: ContextVar[Token | None] = ContextVar("authkit_bookmark", default=None)


@contextmanager
def request(token: Token | None = None) -> Generator[None]:
    """Begin with what the client's earlier requests wrote; forget it at the end."""
    mark = _latest.set(token)
    try:
        yield
    finally:
        _latest.reset(mark)


def remember(token: Token | None) -> None:
    """Keep the later of this token and what is kept."""
    if token is not None:
        _latest.set(token.latest(_latest.get()))


def remembered() -> Token | None:
    """Return the token of the latest write of this request, if there was one."""
    return _latest.get()
