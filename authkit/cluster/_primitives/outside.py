"""Calls that know no limit of their own, made beside the caller, one at a time each.

The C library's resolver and a password command may wait for long. A caller waits for
them as long as it likes; another that asks the same meanwhile waits for the same call,
so that a resolver that hangs costs one thread, not one for each question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from authkit.cluster._primitives.forks import generation

_under_way: dict[Hashable, Future[Any]] = {}
_lock = threading.Lock()


def beside(key: Hashable, function: Callable[[], Any]) -> Future[Any]:
    """Call in a thread of its own, or join the call under way for this key.

    Args:
        key: what is asked.
        function: asks it; its result or error is that of the future.
    """
    key = (generation.number, key)
    with _lock:
        known = _under_way.get(key)
        if known is not None:
            return known
        future: Future[Any] = Future()
        # From here on it cannot be cancelled: others may wait for it.
        future.set_running_or_notify_cancel()
        _under_way[key] = future

    def run() -> None:
        try:
            result = function()
        except BaseException as exc:  # noqa: BLE001 # it is whoever waits that gets it
            _settled(key)
            future.set_exception(exc)
        else:
            _settled(key)
            future.set_result(result)

    threading.Thread(target=run, name="authkit outside", daemon=True).start()
    return future


def _settled(key: Hashable) -> None:
    with _lock:
        del _under_way[key]
