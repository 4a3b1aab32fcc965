"""How calls are gathered: the bounds, and how a failure travels back. Pure."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from authkit.hot import inputs

# A statement costs about as much as so many calls of its batch.
_UNDIVIDED = 32


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a coalescer.

    Args:
        alone: up to so many calls of an operation under way go by themselves: for so
            few a batch would cost more than it saves.
        batches: statements of an operation that run at once.
        most: calls in one statement.

    Raises:
        InvalidInput: a number is out of range.
    """

    alone: int = 8
    batches: int = 2
    most: int = 256

    def __post_init__(self) -> None:
        inputs.count(self.alone, "calls that go alone", low=0, high=10_000)
        inputs.count(self.batches, "batches at once", low=1, high=100)
        inputs.count(self.most, "calls in a batch", low=1, high=10_000)

    def share(self, flying: int) -> int:
        """Return how many of the calls under way one batch may hold.

        Its part of them: one batch of all would have the server idle while its answers
        are handed out, and the callers while it runs. Small ones are not divided.
        """
        return min(self.most, max(-(-flying // self.batches), _UNDIVIDED))


class Failure:
    """One call of a batch failed; the caller gets an error of its own."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def failures(error: Exception, count: int) -> list[Failure]:
    """Return one error for each caller: a traceback belongs to one of them alone."""
    found: list[Failure] = []
    for _ in range(count):
        own = copy(error)
        own.__cause__ = error.__cause__ or error
        found.append(Failure(own))
    return found
