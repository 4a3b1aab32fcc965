"""Goals of a load run in a TOML file, and whether a recording meets them.

```toml
[generator]              # beyond these the run proves nothing: exit code 2
lag_p99_ms = 5.0
skipped = 0

[recovery]
outage_ms = 3000

[[goal]]
operation = "sessions.validate"   # or "*": every operation together
phase = "before"                  # default "all"; "during-lag" of several faults
p99_ms = 5.0                      # also p50_ms, p95_ms, p999_ms
error_rate = 0.001                # share of the calls, 0 to 1
stale_reads = 10                  # within the bounds that callers stated
```

Latency is response time under an open loop and service time under a closed one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from authkit.errors import ConfigError
from authkit.figures import Figure, figure
from authkit.harness.faults import KINDS
from authkit.harness.histogram import merged
from authkit.harness.phases import AFTER, ALL, BEFORE, DURING, Phase
from authkit.harness.recording import Cell, Recording
from authkit.harness.summary import STALE_READ

EVERY: Final = "*"
# Unless the file says otherwise. An open loop promises a schedule; a closed one does
# not, but where its timers are late as a rule it measures its own machine.
_LAG_P99_MS: Final = 10.0
_CLOSED_LAG_P50_MS: Final = 100.0
_PERCENTILES: Final = {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0, "p999_ms": 99.9}
_PHASES: Final = (ALL, BEFORE, DURING, AFTER)
_OF_ONE: Final = re.compile(rf"(?:{DURING}|{AFTER})-(?:{'|'.join(KINDS)})(?:-\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Goal:
    """Upper bounds for one operation in one phase."""

    operation: str
    phase: str
    bounds_ms: tuple[tuple[str, float], ...]
    error_rate: float | None
    stale_reads: float | None = None


@dataclass(frozen=True, slots=True)
class Slo:
    """Everything an SLO file says."""

    goals: tuple[Goal, ...] = ()
    outage_ms: float | None = None
    lag_p99_ms: float | None = None
    skipped: int = 0


def read(path: Path, operations: Iterable[str]) -> Slo:
    """Read an SLO file.

    Args:
        path: the TOML file.
        operations: every name that a goal may have.

    Raises:
        ConfigError: listing every fault of the file.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as exc:
        raise ConfigError([f"{path} cannot be read: {exc.strerror}"]) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"{path} is not TOML: {exc}"]) from exc
    return parse(table, operations)


def parse(table: Mapping[str, Any], operations: Iterable[str]) -> Slo:
    """Make an `Slo` of a parsed file; see `read`."""
    known = {EVERY, *operations}
    problems = [
        f"unknown table [{name}]"
        for name in table
        if name not in {"generator", "recovery", "goal"}
    ]
    generator = _numbers(table.get("generator"), ("lag_p99_ms", "skipped"), problems)
    recovery = _numbers(table.get("recovery"), ("outage_ms",), problems)
    goals: list[Goal] = []
    entries: object = table.get("goal", [])
    for number, entry in enumerate(
        cast("list[object]", entries) if isinstance(entries, list) else [entries], 1
    ):
        goal = _goal(entry, f"goal {number}", known, problems)
        if goal is not None:
            goals.append(goal)
    if problems:
        raise ConfigError([f"SLO file: {problem}" for problem in problems])
    return Slo(
        goals=tuple(goals),
        outage_ms=recovery.get("outage_ms"),
        lag_p99_ms=generator.get("lag_p99_ms"),
        skipped=int(generator.get("skipped", Slo().skipped)),
    )


def _goal(
    entry: object, where: str, known: set[str], problems: list[str]
) -> Goal | None:
    if not isinstance(entry, dict):
        problems.append(f"{where} is not a [[goal]] table")
        return None
    fields = cast("dict[str, Any]", entry)
    operation = fields.get("operation", EVERY)
    phase = fields.get("phase", ALL)
    if operation not in known:
        problems.append(f"{where} names the unknown operation {operation!r}")
    if phase not in _PHASES and not _OF_ONE.match(str(phase)):
        problems.append(
            f"{where}: phase is one of {', '.join(_PHASES)}, or of one fault among"
            f" several, as in {DURING}-{KINDS[0]}"
        )
    rest = {k: v for k, v in fields.items() if k not in {"operation", "phase"}}
    bounds = _numbers(
        rest, (*_PERCENTILES, "error_rate", "stale_reads"), problems, where
    )
    if not bounds:
        problems.append(f"{where} sets no bound")
        return None
    stale = bounds.pop("stale_reads", None)
    if stale is not None and operation != EVERY:
        problems.append(f"{where}: stale_reads is for operation {EVERY!r}")
    rate = bounds.pop("error_rate", None)
    return Goal(str(operation), str(phase), tuple(bounds.items()), rate, stale)


def _numbers(
    table: object, names: Sequence[str], problems: list[str], where: str = "file"
) -> dict[str, float]:
    if table is None:
        return {}
    if not isinstance(table, dict):
        problems.append(f"{where}: [generator] and [recovery] are tables")
        return {}
    found: dict[str, float] = {}
    for name, value in cast("dict[str, object]", table).items():
        if name not in names:
            problems.append(f"{where} has the unknown name {name!r}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            problems.append(f"{where}: {name} is a number, zero or above")
        else:
            found[name] = float(value)
    return found


def evaluate(
    slo: Slo,
    recording: Recording,
    phases: Sequence[Phase],
    outage_ms: float | None = None,
) -> tuple[Figure, ...]:
    """Return one figure for each bound; a goal without a single call does not hold."""
    figures: list[Figure] = []
    for goal in slo.goals:
        cell = _cell(recording, goal, phases)
        latency = cell.response if recording.loop == "open" else cell.service
        name = f"{goal.operation}[{goal.phase}]"
        for bound, limit in goal.bounds_ms:
            found = latency.percentile_ns(_PERCENTILES[bound])
            value = None if found is None else round(found / 1e6, 3)
            figures.append(figure(f"{name}.{bound}", value, "ms", goal=("<=", limit)))
        if goal.error_rate is not None:
            rate = cell.failed.count / cell.calls if cell.calls else None
            figures.append(
                figure(f"{name}.error_rate", rate, "1", goal=("<=", goal.error_rate))
            )
            if rate is not None and goal.error_rate > 0:
                spent = round(rate / goal.error_rate, 4)
                figures.append(figure(f"{name}.error_budget_spent", spent, "1"))
        if goal.stale_reads is not None:
            counted = recording.counted(STALE_READ, _slots(goal, phases))
            stale = counted if counted or cell.calls else None
            figures.append(
                figure(f"{name}.stale_reads", stale, goal=("<=", goal.stale_reads))
            )
    if slo.outage_ms is not None:
        figures.append(figure("outage_ms", outage_ms, "ms", goal=("<=", slo.outage_ms)))
    return tuple(figures)


def _slots(goal: Goal, phases: Sequence[Phase]) -> Callable[[int], bool] | None:
    if goal.phase == ALL:
        return None
    spans = [p for p in phases if goal.phase in {p.name, *_titles(p)}]
    return lambda slot: any(phase.holds(slot) for phase in spans)


def _titles(phase: Phase) -> set[str]:
    """Return what a phase may be called by: faults that overlap share theirs."""
    return {f"{phase.name}-{one}" for one in phase.of.split("+") if one}


def _cell(recording: Recording, goal: Goal, phases: Sequence[Phase]) -> Cell:
    return recording.select(
        lambda key: goal.operation in {EVERY, key.operation}, _slots(goal, phases)
    )


def invalid(slo: Slo, recording: Recording) -> str | None:
    """Say why the run proves nothing, or None when it can be believed."""
    if not recording.cells:
        return "no operation was run"
    closed = recording.loop == "closed"
    percent, allowed_ms = 99, slo.lag_p99_ms or _LAG_P99_MS
    if closed and slo.lag_p99_ms is None:
        percent, allowed_ms = 50, _CLOSED_LAG_P50_MS
    lag = merged(recording.lag.values()).percentile_ns(percent)
    if lag is None:
        return None if closed else "an open loop without arrivals"
    if lag / 1e6 > allowed_ms:
        return (
            f"the generator was the bottleneck: its lag p{percent} was"
            f" {lag / 1e6:.1f} ms, {allowed_ms:g} ms are allowed"
        )
    if recording.skipped > slo.skipped:
        return (
            f"the generator gave up {recording.skipped} arrivals that nobody was free"
            f" for, {slo.skipped} are allowed: more users, or a lower rate"
        )
    return None
