"""Wait for a condition with a deadline: what a test does instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(
    condition: Callable[[], object], what: str, *, within_s: float = 20.0
) -> None:
    """Return as soon as `condition()` is true.

    Raises:
        AssertionError: it is not within the deadline; `what` says what was awaited.
    """
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"after {within_s:g} s still not: {what}")
        time.sleep(0.01)
