"""How a drill tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

# The phase, how much of it is done, and how much there is to do.
Progress: TypeAlias = Callable[[str, int, int], None]


def silent(_phase: str, _done: int, _whole: int) -> None:
    """Show no progress."""
