"""An operation is a value: its name, its SQL beside its row, and how it may be run.

Sync and async repositories, locust statistics, benchmarks, cost budgets, EXPLAIN tests
and metrics all read the same registry; adding an operation is adding one value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, LiteralString, TypeVar

from authkit.cluster import Intent as Intent  # noqa: PLC0414 # named here by operations

Row_co = TypeVar("Row_co", covariant=True)


class Durability(Enum):
    """What a commit of the operation promises.

    `FULL` is the server's own setting. `RELAXED` is acknowledged before it is flushed,
    and before a synchronous replica has it: a crash or a failover can lose the last
    moments of it, and never corrupts (PostgreSQL documentation, section 28.4,
    "Asynchronous Commit").
    """

    FULL = "full"
    RELAXED = "relaxed"


class Batch(Enum):
    """How concurrent single calls may fold into one statement."""

    NONE = "none"
    ARRAY = "array"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class Operation(Generic[Row_co]):
    """One statement of the hot path: what it asks, what it returns, how it may run.

    `sql` uses the server's own placeholders (`$1`); `parameters` names them in order
    and `types` gives their PostgreSQL types, so that preparing needs no guess. A row
    is built by `row(*columns)`; `row` is None where the statement returns nothing.
    `idempotent` says whether running it twice is the same as once. `within` runs in its
    place inside somebody else's transaction, whose commit a relaxed one must not relax.
    """

    name: str
    sql: LiteralString
    parameters: tuple[str, ...]
    types: tuple[str, ...]
    row: Callable[..., Row_co] | None
    intent: Intent
    idempotent: bool
    durability: Durability = Durability.FULL
    batch: Batch = Batch.NONE
    within: Operation[Row_co] | None = None

    def __post_init__(self) -> None:
        if len(self.parameters) != len(self.types):
            raise ValueError(f"{self.name}: one type for each parameter")

    def build(self, values: Sequence[object]) -> Row_co:
        """Make the row of one result, its columns in the order of the statement."""
        if self.row is None:
            raise TypeError(f"{self.name} returns no rows")
        return self.row(*values)

    @property
    def family(self) -> str:
        """The repository it belongs to: `sessions` of `sessions.validate`."""
        return self.name.partition(".")[0]


AnyOperation = Operation[Any]
