"""Every operation of the registry, one call at a time on a held connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from authkit.harness.gate import budgets
from authkit.hot._sync import statement
from authkit.hot.operation import AnyOperation, Intent
from authkit.hot.registry import OPERATIONS

ROUNDS, WARMUP = 200, 20
COUNTED = budgets.load(Path(__file__).with_name("budgets.toml"))
READS = [op for op in OPERATIONS if op.intent is Intent.READ]


def measure(benchmark: Any, connection: Any, operation: AnyOperation, samples: Any):
    def fresh() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (connection, operation, samples.draw(operation)), {}

    if COUNTED is not None and operation.name in COUNTED.costs:
        benchmark.extra_info["budget"] = COUNTED.costs[operation.name].as_dict()
    run = statement.execute if operation.row is None else statement.fetch_all
    benchmark.pedantic(run, setup=fresh, rounds=ROUNDS, warmup_rounds=WARMUP)


@pytest.mark.benchmark(group="on the primary")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.name)
def test_operation_on_the_primary(benchmark, operation, primary, samples):
    measure(benchmark, primary, operation, samples)


@pytest.mark.benchmark(group="on the replica")
@pytest.mark.parametrize("operation", READS, ids=lambda op: op.name)
def test_operation_on_the_replica(benchmark, operation, replica, samples):
    measure(benchmark, replica, operation, samples)
