"""What counting costs: the same operation with and without it, in turns.

The difference is far below the noise of a round trip, so blocks of both kinds alternate
on one connection, and the middle of their differences is what counts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import repeat
from statistics import median, quantiles
from time import perf_counter, thread_time
from typing import Final

from authkit.figures import Report, figure
from authkit.ops.metrics.gathering import Gathered, Kit

GOAL_US: Final = 2.0
_BLOCK: Final = 100
_SETTLE: Final = 500

Progress = Callable[[str, int, int], None]


def cost(
    kit: Kit,
    call: Callable[[], object],
    *,
    pairs: int = 300,
    postgres: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure what counting adds to an operation of the hot path.

    Args:
        kit: with nobody else watching it.
        call: one operation of that kit.
        pairs: of blocks, a hundred calls each.
        postgres: the server's version, for the report.
        progress: told the phase, the pairs done and the pairs to do.
    """
    started, began = datetime.now(UTC), perf_counter()
    gathered = Gathered(kit)
    gathered.close()

    def block(*, counted: bool) -> tuple[float, float]:
        stop = kit.observe(gathered.observe) if counted else _nothing
        wall, busy = perf_counter(), thread_time()
        for _ in repeat(None, _BLOCK):
            call()
        wall, busy = perf_counter() - wall, thread_time() - busy
        stop()
        return 1e6 * wall / _BLOCK, 1e6 * busy / _BLOCK

    for _ in repeat(None, _SETTLE):
        call()
    plain: list[float] = []
    added: list[float] = []
    added_cpu: list[float] = []
    for pair in range(pairs):
        # Which comes first alternates: what drifts favours neither.
        first = block(counted=pair % 2 == 0)
        second = block(counted=pair % 2 == 1)
        with_, without = (first, second) if pair % 2 == 0 else (second, first)
        plain.append(without[0])
        added.append(with_[0] - without[0])
        added_cpu.append(with_[1] - without[1])
        if progress is not None:
            progress("in turns", pair + 1, pairs)
    low, _, high = quantiles(added, n=4)
    calls = sum(found.count for found in gathered.operations().values())
    return Report(
        "metrics bench",
        started,
        perf_counter() - began,
        (
            figure("added_us", round(median(added), 2), "us", goal=("<=", GOAL_US)),
            figure("added_cpu_us", round(median(added_cpu), 2), "us"),
            figure("operation_us", round(median(plain), 1), "us"),
            figure("counted", calls, "calls", goal=("==", pairs * _BLOCK)),
        ),
        postgres=postgres,
        extra={"pairs": pairs, "block": _BLOCK, "added_us_quartiles": [low, high]},
    )


def _nothing() -> None:
    """Stop nothing."""
