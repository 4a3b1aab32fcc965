"""Whether a validate slows down as sessions accumulate: two sizes, call by call.

Both tables are in one server, and rounds alternate between them, so that whatever else
the machine does falls on both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from typing import Any, Final

import authkit
from authkit.figures import Report, figure
from authkit.harness.drills.progress import Progress, silent
from authkit.harness.peers import hot_world as world
from authkit.harness.peers.hot_clients import call_of
from authkit.harness.peers.hot_world import Sizes
from authkit.settings import Settings

CALLS: Final = 2000
_GROWN: Final = "grown"


def run(
    *,
    sessions: int = 1_000_000,
    over: int = 100_000,
    rounds: int = 15,
    progress: Progress = silent,
) -> Report:
    """Measure the median validate at one number of sessions over a smaller one.

    Args:
        sessions: in the larger table.
        over: in the smaller one.
        rounds: of both in turn, 2,000 calls each.
        progress: told of loading and of rounds.

    Raises:
        LabError: the lab failed.
    """
    from authkit.lab import cluster
    from authkit.ops.migrate import upgrade

    started, began = datetime.now(UTC), perf_counter()
    with cluster(replicas=0) as lab:
        upgrade(lab.url())
        small = world.by_socket(lab)
        world.load(small, Sizes(over, 0, 0), progress)
        lab.create_database(_GROWN, template=world.DATABASE)
        large = world.by_socket(lab, database=_GROWN)
        world.grow(large, over, sessions, progress)
        seeded = perf_counter() - began
        keys = [
            world.drawn(Sizes(count), "validate", CALLS * 5)
            for count in (over, sessions)
        ]
        with (
            authkit.connect(Settings.load(None, database_url=small)) as few,
            authkit.connect(Settings.load(None, database_url=large)) as many,
        ):
            calls = [call_of(kit.hot, "validate") for kit in (few, many)]
            for call, own in zip(calls, keys, strict=True):
                _p50_us(call, own)
            pairs: list[tuple[float, float]] = []
            for turn in range(rounds):
                part = [own[turn % 5 * CALLS :][:CALLS] for own in keys]
                pairs.append((_p50_us(calls[0], part[0]), _p50_us(calls[1], part[1])))
                progress("measuring", turn + 1, rounds)
        version = str(lab.sql("SHOW server_version")[0][0])
    return Report(
        "bench peers growth",
        started,
        perf_counter() - began,
        (
            figure(
                "validate p50, large table over small",
                median(large / small for small, large in pairs),
                "x",
                goal=("<=", 1.15),
            ),
            figure("validate p50, large", median(p[1] for p in pairs), "us"),
            figure("validate p50, small", median(p[0] for p in pairs), "us"),
            figure("loading", seeded, "s", goal=("<=", 240)),
        ),
        postgres=version,
        extra={"rows": {"large": sessions, "small": over}},
    )


def _p50_us(call: Any, keys: list[int]) -> float:
    spent: list[float] = []
    for key in keys:
        began = perf_counter()
        found = call(key)
        spent.append(perf_counter() - began)
        if found is None:
            raise RuntimeError("a session that was loaded is not there")
    return median(spent) * 1e6
