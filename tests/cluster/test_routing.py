"""Which replica serves: freshness, zone, and two choices."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from authkit.cluster.consistency import Token
from authkit.cluster.routing import choose, contains, prefer_zone
from authkit.cluster.views import Health, NodeView, Role


@dataclass
class Node:
    view: NodeView
    in_flight: int = 0


def node(name: str, *, in_flight: int = 0, **fields: object) -> Node:
    defaults = {"role": Role.REPLICA, "health": Health.UP}
    return Node(NodeView(name, **(defaults | fields)), in_flight)


def draw(seed: int) -> Callable[[int], int]:
    return random.Random(seed).randrange  # noqa: S311 # repeatable, and no secret


def test_an_unknown_lag_is_infinite():
    assert node("a").view.staleness(100.0) == math.inf
    assert node("a", fresh_at=98.0).view.staleness(100.0) == 2.0


def test_a_token_is_contained_on_its_own_timeline_only():
    view = node("a", timeline=2, lsn=100).view
    assert contains(view, Token(2, 100))
    assert not contains(view, Token(2, 101))
    assert not contains(view, Token(1, 50))


def test_the_preferred_zone_goes_first_and_is_no_wall():
    east, west = node("a", zone="east"), node("b", zone="west")
    assert prefer_zone([east, west], "west") == [west]
    assert prefer_zone([east, west], "a") == [east]
    assert prefer_zone([east, west], "north") == [east, west]
    assert prefer_zone([east, west], None) == [east, west]


def test_of_none_nobody_is_chosen():
    assert choose([], draw(1)) is None


@given(
    loads=st.lists(st.integers(0, 50), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
)
def test_the_busiest_of_three_or_more_is_never_chosen_alone(loads, seed):
    nodes = [node(str(i), in_flight=load) for i, load in enumerate(loads)]
    chosen = choose(nodes, draw(seed))
    assert chosen in nodes
    if len(nodes) > 1 and loads.count(max(loads)) == 1:
        assert chosen.in_flight < max(loads)


def test_two_choices_keep_loads_close_together():
    nodes = [node(str(i)) for i in range(10)]
    picks = draw(7)
    for _ in range(10_000):
        choose(nodes, picks).in_flight += 1
    loads = [n.in_flight for n in nodes]
    assert max(loads) - min(loads) <= 10


def test_between_equals_the_quicker_one_serves():
    slow, quick = node("a", round_trip_s=0.2), node("b", round_trip_s=0.001)
    picked = Counter(choose([slow, quick], draw(i)).view.name for i in range(20))
    assert picked == {"b": 20}
    assert math.isinf(slow.view.staleness(1.0))


def test_a_replica_whose_round_trip_is_unknown_is_tried_before_a_measured_one():
    fresh, known = node("fresh"), node("known", round_trip_s=0.5)
    for seed in range(8):
        assert choose([fresh, known], draw(seed)) is fresh
