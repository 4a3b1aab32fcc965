"""How the tour speaks to whoever watches it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Narrator(Protocol):
    """Shows what is being done; the tour does not know on what."""

    def step(self, doing: str) -> AbstractContextManager[Step]:
        """Show that a step began, and when the block ends, that it is done."""
        ...


class Step(Protocol):
    """One step while it is being done."""

    def update(self, doing: str) -> None:
        """Show how far it is."""
        ...

    def done(self, what: str) -> None:
        """Say what came of it, in place of what was being done."""
        ...
