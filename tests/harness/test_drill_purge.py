"""The drill of purges: every expired session goes, and callers are served meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from authkit.harness.drills import purging as drill
from authkit.harness.drills.purging import purging
from authkit.harness.schedule import offsets
from authkit.testing.waiting import until


class Stalled:
    """Calls that all wait until they are released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.waiting = 0
        self._turn = threading.Lock()

    def read(self, _: int) -> bool:
        with self._turn:
            self.waiting += 1
        return self.released.wait(20)

    write = read


def test_everybody_who_was_due_before_the_end_of_a_stall_is_counted():
    calls: Any = Stalled()
    now = 0.0

    def work() -> None:
        nonlocal now
        until(lambda: calls.waiting == drill._CALLERS, "all callers are in the stall")
        now = 3.0
        # The stall outlives the work, as one that began within it does.
        threading.Timer(0.1, calls.released.set).start()

    seen = drill._loaded(calls, 200.0, work, clock=lambda: now)
    due = len(list(offsets("poisson", 200.0, 3.0, 1)))
    assert (seen.whole.count, seen.failed, seen.skipped) == (due, 0, 0)


@pytest.mark.slow
def test_a_purge_takes_all_that_expired_while_calls_are_served_and_measured():
    told: list[str] = []
    report = purging(
        rows=6_000,
        before_s=1.0,
        progress=lambda phase, *_: told.append(phase),
    )
    found = {figure.name: figure for figure in report.figures}
    assert found["sync_rows_purged"].value == 6_000
    assert found["sync_failed_before"].value == found["sync_failed_during"].value == 0
    assert found["sync_calls_before"].value
    assert found["sync_p99_ratio"].goal == "<= 1.5"
    assert {"filling", "before", "purging"} <= set(told)
