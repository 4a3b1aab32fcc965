from __future__ import annotations

import random
from collections import Counter

from authkit.harness.world import OpenSession, World, Zipf
from authkit.ids import uuid7


def test_zipf_chooses_the_first_most_often_and_every_index_in_range():
    source = random.Random(1)  # noqa: S311 # a load, no secret
    chosen = Counter(Zipf(10, 1.1).choose(source) for _ in range(5_000))
    assert set(chosen) == set(range(10))
    assert chosen[0] > 2 * chosen[2] > 0


def test_an_exponent_of_zero_chooses_evenly():
    source = random.Random(1)  # noqa: S311 # a load, no secret
    chosen = Counter(Zipf(4, 0.0).choose(source) for _ in range(8_000))
    assert max(chosen.values()) < 1.15 * min(chosen.values())


def test_sessions_opened_by_the_run_are_closed_oldest_first():
    world = World({uuid7(): "a@example.org"}, zipf=1.0, seed=1)
    first, second = (OpenSession("token", uuid7(), uuid7()) for _ in range(2))
    world.opened(first)
    world.opened(second)
    closed = [world.to_close(), world.to_close(), world.to_close()]
    assert closed == [first, second, None]


def test_a_session_does_not_show_its_token():
    assert "secret" not in repr(OpenSession("secret", uuid7(), uuid7()))


def test_addresses_are_of_the_networks_reserved_for_documentation():
    world = World({uuid7(): "a@example.org"}, zipf=1.0, seed=1)
    networks = {world.address().rpartition(".")[0] for _ in range(100)}
    assert networks == {"192.0.2", "198.51.100", "203.0.113"}
