"""How a benchmark tells a figure that pytest-benchmark's table has no column for."""

from __future__ import annotations

import sys
from typing import Any


def told(benchmark: Any, capsys: Any, what: str, value: float, goal: str) -> None:
    """Print a figure beside its goal, and keep it with the benchmark's results."""
    benchmark.extra_info[what] = {"value": round(value, 3), "goal": goal}
    if not benchmark.disabled:
        with capsys.disabled():
            sys.stdout.write(f"\n{benchmark.name}: {what} {value:.2f}, goal {goal}\n")
