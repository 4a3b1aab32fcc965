"""What goes into a runner and what a write gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from authkit.cluster import Token
from authkit.hot.operation import AnyOperation

Row = TypeVar("Row")
Params: TypeAlias = Sequence[object]
Step: TypeAlias = tuple[AnyOperation, Params]


@dataclass(frozen=True, slots=True)
class Written(Generic[Row]):
    """The rows of a write, and a token that later reads can ask for.

    `token` is None inside a transaction: its commit gives one.
    """

    rows: list[Row]
    token: Token | None
