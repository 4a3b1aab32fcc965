"""Beneath the kit for threads: everything is direct."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def aside(function: Callable[[], Result]) -> Result:
    """Run a function that blocks."""
    return function()
