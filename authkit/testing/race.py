"""Races: many callers set out at the same moment, and every answer comes back.

For your own operations as well as authkit's:

    answers = race(lambda n: kit.sessions.create(user_id, cap=Cap(3)), 30)
    answers = await race_async(lambda n: kit.sessions.rotate(token), 30)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from authkit.errors import InvalidInput

Result = TypeVar("Result")

START_S: Final = 30.0


def race(
    operation: Callable[[int], Result], callers: int, *, start_s: float = START_S
) -> list[Result]:
    """Call a function in many threads at once; the answers in the order of callers.

    Args:
        operation: is given the caller's number, from 0.
        callers: how many threads; none calls before all of them are running.
        start_s: how long they may take to start.

    Raises:
        InvalidInput: there are fewer than two callers.
        ExceptionGroup: of every caller's error, when all have ended.
        threading.BrokenBarrierError: in the group: not all of them started in time.
    """
    _enough(callers)
    barrier = threading.Barrier(callers)

    def call(number: int) -> Result:
        barrier.wait(start_s)
        return operation(number)

    with ThreadPoolExecutor(callers, "race") as threads:
        running = [threads.submit(call, number) for number in range(callers)]
    errors = [error for one in running if (error := one.exception()) is not None]
    _raise(errors, callers)
    return [one.result() for one in running]


async def race_async(
    operation: Callable[[int], Awaitable[Result]], callers: int
) -> list[Result]:
    """Call an async function in many tasks at once; else as `race`.

    Every task has started before one of them calls. A race that is cancelled cancels
    its callers.

    Raises:
        InvalidInput: there are fewer than two callers.
        ExceptionGroup: of every caller's error, when all have ended.
    """
    _enough(callers)
    started = 0
    go = asyncio.Event()

    async def call(number: int) -> tuple[Result]:
        nonlocal started
        started += 1
        if started == callers:
            go.set()
        await go.wait()
        # Within a tuple: an error that is returned is an answer, and not raised.
        return (await operation(number),)

    answers = await asyncio.gather(
        *(call(number) for number in range(callers)), return_exceptions=True
    )
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    _raise(errors, callers)
    return [answer[0] for answer in answers if not isinstance(answer, BaseException)]


def _enough(callers: int) -> None:
    if callers < 2:
        raise InvalidInput("a race has two callers at least")


def _raise(errors: list[BaseException], callers: int) -> None:
    if errors:
        raise BaseExceptionGroup(
            f"{len(errors)} of {callers} callers of the race failed", errors
        )
