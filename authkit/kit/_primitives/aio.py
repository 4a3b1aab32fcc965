"""Beneath the kit for asyncio: what would hold up the loop runs in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def aside(function: Callable[[], Result]) -> Result:
    """Run a function that blocks."""
    return await asyncio.to_thread(function)
