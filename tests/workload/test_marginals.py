from __future__ import annotations

from datetime import UTC, datetime

import pytest

from authkit.workload import World
from authkit.workload.marginals import Marginals

END = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_world_is_like_the_published_data_where_that_can_be_compared():
    marginals = Marginals()
    world = World(seed=9, users=3000, days=30, end=END)
    passed = sum(1 for _ in marginals.watch(world.attempts()))
    assert passed > 10_000
    for each in marginals.found():
        if each.published is not None:
            assert each.value == pytest.approx(each.published, rel=0.25), each.name


def test_nothing_is_said_of_no_attempts():
    assert Marginals().found() == []
