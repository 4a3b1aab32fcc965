"""Two versions in turns on one server, and one of them twice: the control."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import numpy as np

from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate.arms import Arm
from authkit.harness.gate.ground import Ground
from authkit.harness.gate.statistics import compare
from authkit.harness.gate.verdicts import (
    RULE,
    Measured,
    Rule,
    is_certain,
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
_CALLS: Final = 6
_WARMUP: Final = 40
# Whoever goes on after itself finds its own data in the processor's caches: it was seen
# to be faster by half a per cent. So each follows the others, and all orders are there.
_ORDERS: Final = (
    *((0, 1, 2), (0, 2, 1), (2, 0, 1)),
    *((2, 1, 0), (1, 2, 0), (1, 0, 2)),
)

Team = tuple[Arm, ...]
Teams = Sequence[Team]


def may_pin(server: int) -> bool:
    """Tell whether processes may be given processors of their own here.

    Root in a container may pin itself and not the server, which is another account's.
    """
    try:
        for process in (0, server):
            os.sched_setaffinity(process, os.sched_getaffinity(process))
    except (OSError, AttributeError):
        return False
    return True


@contextmanager
def opened(ground: Ground, teams: int) -> Generator[tuple[Teams, tuple[str, ...]]]:
    """Open teams and settle them; yields what was not permitted, a sentence each.

    Where nothing can be pinned, chance would give one version's backend the client's
    own processor: there, versions share a process and a connection if they can.
    """
    if not may_pin(ground.server) and ground.alike:
        with ground.shared(teams) as made:
            yield made, ("no permission to pin: both versions on one connection",)
        return
    with ground.teams(teams) as made, settled(made) as told:
        yield made, told


@contextmanager
def settled(teams: Teams) -> Generator[tuple[str, ...]]:
    """Give clients one processor, their backends another, and all of them precedence.

    Whichever backend shared the client's processor by chance was seen to be half as
    slow again, call after call; and who must wait for a neighbour's turn is measured
    with it. We take precedence too, for the length of the block: the next turn begins
    when we say so. Yields what was not permitted, a sentence each.
    """
    told: list[str] = []
    arms = tuple(chain.from_iterable(teams))
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
    teams: Teams,
    benchmark: str,
    *,
    benchmarks: int = 1,
    rule: Rule = RULE,
    slow: float = 0.0,
) -> Measured:
    """Measure base, head and base again, in turns, until it is certain or over.

    Args:
        teams: base, head and the control, whose code is base's; several of each.
        benchmark: the operation.
        benchmarks: how many there are in this run: certainty is shared among them.
        rule: the looks and the limit of time.
        slow: the share by which each call of head is made slower.
    """
    began = monotonic()
    for arm in chain.from_iterable(teams):
        _times(arm, benchmark, _WARMUP, 0)
    found: list[list[NDArray[np.float64]]] = [[] for _ in teams]
    passes = 0
    while True:
        for team, blocks in zip(teams, found, strict=True):
            for _ in range(rule.blocks):
                blocks.append(_block(team, benchmark, slow))
        passes, seconds = passes + 1, monotonic() - began
        over = rule.over(passes, seconds)
        if not over and passes not in rule.looks:
            continue
        # versions, teams, blocks, calls
        base, head, control = np.asarray(found).transpose(2, 0, 1, 3)
        measured = Measured(
            benchmark,
            change=compare(base, head),
            control=compare(base, control),
            base_us=float(np.median(base)) / 1000,
            seconds=seconds,
        )
        if over or is_certain(measured, benchmarks, rule):
            return measured


def _block(team: Team, benchmark: str, slow: float) -> NDArray[np.float64]:
    """Time all versions in every order once; none has two turns one after the other."""
    times: list[list[float]] = [[], [], []]
    for order in _ORDERS:
        for at in order:
            more = slow if at == 1 else 0.0
            times[at] += _times(team[at], benchmark, _CALLS, more)
    return np.asarray(times)


def measure_all(
    teams: Teams,
    benchmarks: Sequence[str],
    *,
    rule: Rule = RULE,
    progress: Progress = silent,
) -> tuple[Measured, ...]:
    """Measure each benchmark."""
    found: list[Measured] = []
    for done, name in enumerate(benchmarks):
        progress("measuring", done, len(benchmarks))
        found.append(measure(teams, name, benchmarks=len(benchmarks), rule=rule))
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


def _times(arm: Arm, benchmark: str, calls: int, slow: float) -> list[float]:
    return arm.ask("block", operation=benchmark, calls=calls, slow=slow)["times"]
