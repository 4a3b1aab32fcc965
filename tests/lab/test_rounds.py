from __future__ import annotations

import random
from pathlib import Path

import pytest

from authkit.lab import Lab, cluster

ROUNDS = 12


def _numbers(lab: Lab, node: str) -> list[int]:
    return [n for (n,) in lab.sql("SELECT n FROM kept ORDER BY n", node=node)]


def _fail_over(lab: Lab, fault: str) -> str:
    old = lab.primary
    if fault != "switch":
        getattr(lab, fault)(old)
    lab.promote()
    if fault == "freeze":
        lab.thaw(old)
    return old


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_no_acknowledged_write_is_lost_over_many_failovers(
    roomy: Path, replicas: int
) -> None:
    dice = random.Random(replicas)  # noqa: S311 # a seed, to repeat a failure
    written = 0
    with cluster(replicas, root=roomy, config={"fsync": "off"}) as lab:
        lab.sql("CREATE TABLE kept (n int PRIMARY KEY)")
        for _ in range(ROUNDS):
            for _ in range(dice.randrange(1, 30)):
                lab.sql("INSERT INTO kept VALUES (%s)", [written])
                written += 1
            old = _fail_over(lab, dice.choice(["kill", "freeze", "stop", "switch"]))
            assert _numbers(lab, lab.primary) == list(range(written))
            lab.rejoin(old)
            lab.wait_replayed()
            for node in lab.replicas:
                assert _numbers(lab, node) == list(range(written))
            assert lab.status().findings == ()
            assert len(lab.replicas) == replicas
