"""The rows behind the pictures and tables of a report, from a recording.

Times are seconds since the start of the run; latency is in milliseconds, response time
under an open loop and service time under a closed one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from authkit.harness.histogram import Histogram, merged
from authkit.harness.phases import ALL, Phase
from authkit.harness.recorder import Cell, Key, Recording

Row = dict[str, Any]
POINTS: Final = 120
PARTS: Final = 6
OTHERS: Final = "others"
PERCENTILES: Final = (50.0, 95.0, 99.0, 99.9)


def latency_of(recording: Recording, cell: Cell) -> Histogram:
    """Return the histogram that latency is read from."""
    return cell.response if recording.loop == "open" else cell.service


def stride(recording: Recording) -> int:
    """Return how many slots one point of a chart covers."""
    if recording.span is None:
        return 1
    first, end = recording.span
    return max(1, math.ceil((end - first) / recording.slot_s / POINTS))


def _binned(
    recording: Recording, group: Callable[[Key], tuple[str, ...]]
) -> dict[tuple[str, ...], dict[int, Cell]]:
    width = stride(recording)
    found: dict[tuple[str, ...], dict[int, Cell]] = {}
    for (slot, key), cell in recording.cells.items():
        bins = found.setdefault(group(key), {})
        bins.setdefault(slot // width, Cell()).add(cell)
    return found


def _bins(recording: Recording) -> range:
    width = stride(recording)
    slots = [slot // width for slot, _ in recording.cells]
    return range(min(slots), max(slots) + 1) if slots else range(0)


def latency(recording: Recording, start_s: float) -> list[Row]:
    """Return p50 and p99 over time by operation, node and role.

    A point without a call is a row of nulls, so that lines break there.
    """
    bin_s = stride(recording) * recording.slot_s
    rows: list[Row] = []
    grouped = _binned(recording, lambda key: (key.operation, key.node))
    for (operation, node), bins in sorted(grouped.items()):
        served = [b for b, cell in bins.items() if cell.succeeded]
        if not served:
            continue
        for at in range(min(served), max(served) + 1):
            cell = bins.get(at)
            found = (
                latency_of(recording, cell).percentiles_ns((50.0, 99.0)) if cell else []
            )
            for name, value in zip(
                ("median", "99th percentile"), found or (None, None), strict=True
            ):
                rows.append(
                    {
                        "t": round((at + 0.5) * bin_s - start_s, 3),
                        "operation": operation,
                        "node": node,
                        "which": name,
                        "ms": None if value is None else round(value / 1e6, 4),
                    }
                )
    return rows


def throughput(recording: Recording, start_s: float) -> list[Row]:
    """Return successful calls per second over time by operation, zeros included."""
    bin_s = stride(recording) * recording.slot_s
    grouped = _binned(recording, lambda key: (key.operation,))
    return [
        {
            "t": round(at * bin_s - start_s, 3),
            "t2": round((at + 1) * bin_s - start_s, 3),
            "operation": operation,
            "per_s": round(bins[at].succeeded / bin_s, 3) if at in bins else 0.0,
        }
        for (operation,), bins in sorted(grouped.items())
        for at in _bins(recording)
    ]


def errors(recording: Recording, start_s: float) -> list[Row]:
    """Return failed calls per second over time by class, only where there are any."""
    bin_s = stride(recording) * recording.slot_s
    rows: list[Row] = []
    for bins in _binned(recording, lambda _: ()).values():
        for at, cell in sorted(bins.items()):
            rows.extend(
                {
                    "t": round(at * bin_s - start_s, 3),
                    "t2": round((at + 1) * bin_s - start_s, 3),
                    "error": name,
                    "per_s": round(count / bin_s, 3),
                }
                for name, count in sorted(cell.errors.items())
            )
    return rows


def waits(recording: Recording, start_s: float) -> list[Row]:
    """Return calls per second that waited for a connection, where there are any."""
    bin_s = stride(recording) * recording.slot_s
    grouped = _binned(recording, lambda key: (key.operation,))
    return [
        {
            "t": round(at * bin_s - start_s, 3),
            "t2": round((at + 1) * bin_s - start_s, 3),
            "operation": operation,
            "per_s": round(cell.wait.count / bin_s, 3),
        }
        for (operation,), bins in sorted(grouped.items())
        for at, cell in sorted(bins.items())
        if cell.wait.count
    ]


def folded(rows: Sequence[Row], field: str) -> list[Row]:
    """Return rows of `per_s` with all but the most frequent values as one, `others`.

    A stack of more parts than there are colours cannot be read.
    """
    totals = Counter[str]()
    for row in rows:
        totals[row[field]] += row["per_s"]
    if len(totals) <= PARTS:
        return list(rows)
    shown = {name for name, _ in totals.most_common(PARTS - 1)}
    whole: dict[tuple[str, float], Row] = {}
    for row in rows:
        name = row[field] if row[field] in shown else OTHERS
        same = whole.setdefault((name, row["t"]), {**row, field: name, "per_s": 0.0})
        same["per_s"] = round(same["per_s"] + row["per_s"], 3)
    return list(whole.values())


def percentiles(recording: Recording, phases: Sequence[Phase]) -> list[Row]:
    """Return one row for each operation, phase and role: counts and percentiles.

    The rows of an operation begin with all phases and roles together.
    """
    rows: list[Row] = []
    for operation in recording.operations:
        rows.append(_row(recording, operation, ALL, None, None))
        for phase in phases:
            if phase.name == ALL or phase.first == phase.end:
                continue
            title = phase.title
            rows.extend(
                row
                for role in sorted({key.role for key in recording.keys})
                if (row := _row(recording, operation, title, role, phase))["calls"]
            )
    return rows


def _row(
    recording: Recording,
    operation: str,
    name: str,
    role: str | None,
    phase: Phase | None,
) -> Row:
    cell = recording.select(
        lambda key: key.operation == operation and role in {None, key.role},
        None if phase is None else phase.holds,
    )
    return {
        "operation": operation,
        "phase": name,
        "role": role or ALL,
        **_latency(latency_of(recording, cell), cell),
    }


def _latency(histogram: Histogram, cell: Cell) -> Row:
    found = histogram.percentiles_ns(PERCENTILES)
    values = [round(ns / 1e6, 3) for ns in found] or [None] * len(PERCENTILES)
    return {
        "calls": cell.calls,
        "errors": cell.failed.count,
        **dict(zip(("p50", "p95", "p99", "p99.9"), values, strict=True)),
        "max": round(histogram.max_ns / 1e6, 3) if histogram.count else None,
    }


def visits(recording: Recording) -> list[Row]:
    """Return one row for each task of several operations: counts and percentiles."""
    return [
        {"visit": name, **_latency(latency_of(recording, cell), cell)}
        for name, cell in sorted(recording.visits.items())
    ]


def error_counts(recording: Recording) -> dict[str, int]:
    """Return how often each class of error occurred, the most frequent first."""
    return dict(
        sorted(recording.select().errors.items(), key=lambda item: (-item[1], item[0]))
    )


def lag_percentiles(recording: Recording) -> Row | None:
    """Return the generator's lag in milliseconds; None where none was measured."""
    total = merged(recording.lag.values())
    if not total.count:
        return None
    p50, p99, worst = total.percentiles_ns((50.0, 99.0, 100.0))
    return {
        "timers": total.count,
        "p50_ms": round(p50 / 1e6, 3),
        "p99_ms": round(p99 / 1e6, 3),
        "max_ms": round(worst / 1e6, 3),
        "late": recording.late,
        "skipped": recording.skipped,
    }
