"""Runs of the gate on unchanged and on slowed code, as lines of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from authkit.errors import InvalidInput
from authkit.harness.gate.statistics import Comparison, Estimate
from authkit.harness.gate.verdicts import Measured


@dataclass(frozen=True, slots=True)
class Run:
    """One benchmark measured beside itself; `gate` numbers the whole gates of a file.

    `slow` is the share by which one side was made slower, `load` the number of
    processes that kept the processors busy besides whatever else ran.
    """

    gate: int
    slow: float
    load: int
    measured: Measured


def append(path: Path, run: Run) -> None:
    """Add a run to a file.

    Raises:
        InvalidInput: the file cannot be written.
    """
    one = run.measured
    line = {
        "gate": run.gate,
        "slow": run.slow,
        "load": run.load,
        "benchmark": one.benchmark,
        "base_us": round(one.base_us, 1),
        "seconds": round(one.seconds, 2),
        "change": _written(one.change),
        "control": _written(one.control),
    }
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as exc:
        raise InvalidInput(f"cannot write {path}: {exc.strerror}") from exc


def read(paths: Sequence[Path]) -> tuple[Run, ...]:
    """Read the runs of files.

    Raises:
        InvalidInput: a file cannot be read, or a line of it is no run.
    """
    found: list[Run] = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidInput(f"cannot read {path}: {type(exc).__name__}") from exc
        for number, line in enumerate(lines, 1):
            try:
                found.append(_run(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as exc:
                raise InvalidInput(
                    f"{path}: line {number} is no run ({type(exc).__name__})"
                ) from exc
    return tuple(found)


def _run(line: Mapping[str, Any]) -> Run:
    return Run(
        int(line["gate"]),
        float(line["slow"]),
        int(line["load"]),
        Measured(
            str(line["benchmark"]),
            change=_comparison(line["change"]),
            control=_comparison(line["control"]),
            base_us=float(line["base_us"]),
            seconds=float(line["seconds"]),
        ),
    )


def _written(one: Comparison) -> dict[str, object]:
    """Return logarithms of ratios and their errors."""
    return {
        "low": [round(one.low.log_ratio, 6), round(one.low.error, 6)],
        "median": [round(one.median.log_ratio, 6), round(one.median.error, 6)],
        "blocks": one.blocks,
    }


def _comparison(written: Mapping[str, Any]) -> Comparison:
    low, median = (
        Estimate(*(float(number) for number in cast("Sequence[Any]", written[name])))
        for name in ("low", "median")
    )
    return Comparison(low, median, int(written["blocks"]))
