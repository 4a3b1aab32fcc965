"""The harness that races are tried with is tried itself."""

from __future__ import annotations

import asyncio
import threading

import pytest

from authkit.errors import InvalidInput
from authkit.testing import race, race_async

CALLERS = 20


def test_nobody_calls_before_everybody_runs_and_answers_keep_their_order():
    running: set[int] = set()
    seen: list[int] = []

    def call(number: int) -> int:
        # Each of them is a thread of its own, and all of those are here.
        running.add(threading.get_ident())
        seen.append(threading.active_count())
        return number * 2

    assert race(call, CALLERS) == [number * 2 for number in range(CALLERS)]
    assert len(running) == CALLERS
    assert max(seen) > CALLERS


def test_a_lost_update_is_found_in_tasks():
    """What has no referee loses: the harness brings it about."""
    balance = 0

    async def add(_: int) -> int:
        nonlocal balance
        read = balance
        await asyncio.get_running_loop().run_in_executor(None, int)
        balance = read + 1
        return read

    answers = asyncio.run(race_async(add, CALLERS))
    assert len(answers) == CALLERS
    assert balance < CALLERS


def test_every_error_is_told_when_all_have_ended():
    ended: list[int] = []

    def call(number: int) -> None:
        if number % 5 == 0:
            raise KeyError(number)
        ended.append(number)

    async def call_async(number: int) -> None:
        call(number)

    with pytest.raises(ExceptionGroup) as caught:
        race(call, CALLERS)
    assert sorted(error.args[0] for error in caught.value.exceptions) == [0, 5, 10, 15]
    with pytest.raises(ExceptionGroup, match="4 of 20 callers"):
        asyncio.run(race_async(call_async, CALLERS))
    assert sorted(ended) == sorted(2 * [n for n in range(CALLERS) if n % 5])


def test_one_caller_is_no_race():
    with pytest.raises(InvalidInput):
        race(str, 1)
    with pytest.raises(InvalidInput):
        asyncio.run(race_async(asyncio.sleep, 1))


def test_an_error_that_is_returned_is_an_answer_in_tasks_as_in_threads():
    def refused(number: int) -> Exception:
        return ValueError(number)

    async def refused_async(number: int) -> Exception:
        return ValueError(number)

    answers = asyncio.run(race_async(refused_async, CALLERS))
    assert [str(one) for one in answers] == [str(one) for one in race(refused, CALLERS)]
