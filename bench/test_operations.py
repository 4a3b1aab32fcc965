"""Every operation of the registry, one call at a time on a held connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from samples import HITS_CACHED, HITS_ISSUED, HITS_LINKED

from authkit.harness.gate import budgets
from authkit.hot._sync import statement
from authkit.hot.operation import AnyOperation, Intent
from authkit.hot.registry import BY_NAME, OPERATIONS

ROUNDS, WARMUP = 200, 20
COUNTED = budgets.load(Path(__file__).with_name("budgets.toml"))
HITS = (
    *HITS_CACHED,
    *HITS_ISSUED,
    *HITS_LINKED,
    "oauth_providers.sealed_by_others",
    "oauth_states.consume",
    "oauth_codes.lock_family",
    "oauth_codes.redeem",
)
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


@pytest.mark.parametrize("name", HITS)
def test_a_sample_finds_what_it_asks_for(name, primary, samples):
    """A budget of a look-up that misses would say nothing."""
    operation = BY_NAME[name]
    drawn = samples.draw(operation)
    if operation.row is None:
        assert statement.execute(primary, operation, drawn) == 1
    else:
        assert statement.fetch_all(primary, operation, drawn)
