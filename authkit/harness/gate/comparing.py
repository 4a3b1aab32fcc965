"""Two versions in turns on one server, and one of them twice: the control."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import numpy as np

from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate.arms import Arm
from authkit.harness.gate.statistics import LOW_QUANTILE, compare
from authkit.harness.gate.verdicts import (
    RULE,
    Measured,
    Rule,
    control_strays,
    is_certain,
    p_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The calls of every login and every request; the others have their exact budgets.
HOT_PATH: Final = (
    "sessions.create",
    "sessions.validate",
    "sessions.touch",
    "sessions.revoke",
    "sessions.list",
    "attempts.record",
    "attempts.recent_by_user",
    "attempts.failures",
    "rate_limits.check",
    "auth_cache.get",
    "oauth_states.create",
    "oauth_tokens.introspect",
)
_CALLS: Final = 25
_WARMUP: Final = 100

Extra = Callable[[float], int]


def unchanged(_base_ns: float) -> int:
    """Add nothing to a call."""
    return 0


@contextmanager
def settled(arms: Sequence[Arm]) -> Generator[tuple[str, ...]]:
    """Give clients one processor, their backends another, and all of them precedence.

    Whichever backend shared the client's processor by chance was seen to be half as
    slow again, call after call; and who must wait for a neighbour's turn is measured
    with it. We take precedence too, for the length of the block: the next turn begins
    when we say so. Yields what was not permitted, a sentence each.
    """
    told: list[str] = []
    try:
        processors = sorted(os.sched_getaffinity(0))
        if len(processors) < 2:
            told.append("one processor: clients and backends share it")
        for arm in arms:
            os.sched_setaffinity(arm.pid, {processors[0]})
            os.sched_setaffinity(arm.backend, {processors[-1]})
    except (OSError, AttributeError) as exc:
        told.append(f"no permission to pin backends ({type(exc).__name__})")
    # Not by niceness: where sessions are scheduled as groups (sched(7), autogroup) it
    # says nothing to the processes of another session.
    first = [0, *(one for arm in arms for one in (arm.pid, arm.backend))]
    ours = (os.sched_getscheduler(0), os.sched_getparam(0))
    try:
        for process in first:
            os.sched_setscheduler(
                process, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1)
            )
    except OSError as exc:
        told.append(f"no permission for precedence ({type(exc).__name__})")
    try:
        yield tuple(told)
    finally:
        if os.sched_getscheduler(0) != ours[0]:
            os.sched_setscheduler(0, *ours)


def measure(
    arms: tuple[Arm, Arm, Arm],
    benchmark: str,
    *,
    benchmarks: int = 1,
    rule: Rule = RULE,
    extra: Extra = unchanged,
) -> Measured:
    """Measure base, head and base again, in turns, until it is certain or over.

    Args:
        arms: base, head and the control, whose code is base's.
        benchmark: the operation.
        benchmarks: how many there are in this run: certainty is shared among them.
        rule: the looks and the limit of time.
        extra: nanoseconds to add to each call of head, by base's quick calls.
    """
    began = monotonic()
    base, head, control = arms
    for arm in (control, head, base):
        _times(arm, benchmark, _WARMUP, 0)
    for arm in (control, head):  # the same parameters for all, in the same order
        _times(arm, benchmark, _WARMUP, 0)
    typical = float(np.quantile(_times(base, benchmark, _WARMUP, 0), LOW_QUANTILE))
    added = extra(typical)
    rows: tuple[list[NDArray[np.float64]], ...] = ([], [], [])
    turns = ((0, base, 0), (1, head, added), (2, control, 0))
    while True:
        halves: list[list[NDArray[np.float64]]] = [[], [], []]
        for at, arm, more in (*turns, *reversed(turns)):
            halves[at].append(_times(arm, benchmark, _CALLS, more))
        for row, pair in zip(rows, halves, strict=True):
            row.append(np.concatenate(pair))
        blocks, seconds = len(rows[0]), monotonic() - began
        over = blocks >= rule.looks[-1] or (seconds >= rule.limit_s and blocks > 1)
        if not over and blocks not in rule.looks:
            continue
        first, second, third = (np.stack(row) for row in rows)
        found = Measured(
            benchmark,
            change=compare(first, second),
            control=compare(first, third),
            base_us=float(np.median(first)) / 1000,
            seconds=seconds,
        )
        if over or is_certain(found, benchmarks, rule):
            return found


def measure_surely(
    arms: tuple[Arm, Arm, Arm],
    benchmark: str,
    *,
    benchmarks: int = 1,
    rule: Rule = RULE,
    extra: Extra = unchanged,
) -> Measured:
    """Measure; what looks like a regression once more, in processes of their own.

    Where a process and its backend happen to lie in memory makes them a few per cent
    faster or slower for as long as they live, and no number of blocks tells that from
    the code (Mytkowicz et al. 2009, "Producing wrong data without doing anything
    obviously wrong"). Both measurements must say so: the weaker one is returned. So is
    the second one where the control of the first strayed.
    """
    first = measure(arms, benchmark, benchmarks=benchmarks, rule=rule, extra=extra)
    strays = control_strays(first.control, rule)
    if not strays and p_of(first, rule) >= rule.alpha:
        return first
    for arm in arms:
        arm.restart()
    with settled(arms):
        again = measure(arms, benchmark, benchmarks=benchmarks, rule=rule, extra=extra)
    weaker = again if strays else max(first, again, key=lambda one: p_of(one, rule))
    return replace(weaker, seconds=first.seconds + again.seconds)


def measure_all(
    arms: tuple[Arm, Arm, Arm],
    benchmarks: Sequence[str],
    *,
    rule: Rule = RULE,
    progress: Progress = silent,
) -> tuple[Measured, ...]:
    """Measure each benchmark, each as surely as `measure_surely` does."""
    found: list[Measured] = []
    for done, name in enumerate(benchmarks):
        progress("measuring", done, len(benchmarks))
        found.append(measure_surely(arms, name, benchmarks=len(benchmarks), rule=rule))
    progress("measuring", len(benchmarks), len(benchmarks))
    return tuple(found)


def processor_times() -> tuple[int, int]:
    """Return what the hypervisor took from this machine and all there was, in ticks."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
        ticks = [int(word) for word in line.split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return ticks[7], sum(ticks)


def stolen(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Return which share of the processors' time was taken between two readings."""
    whole = after[1] - before[1]
    return (after[0] - before[0]) / whole if whole else 0.0


def _times(arm: Arm, benchmark: str, calls: int, more: int) -> NDArray[np.float64]:
    said = arm.ask("block", operation=benchmark, calls=calls, extra_ns=more)
    return np.asarray(said["times"], dtype=np.float64)
