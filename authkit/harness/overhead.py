"""Measures the harness itself, on a lab of its own: what it costs and what it offers.

Goals are for a machine with nothing else to do; the arms of each ratio run in turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

from authkit.errors import LabError
from authkit.figures import Figure, Report, figure

_HERE: Final = Path(__file__).parent
_NOTHING_PER_S: Final = 20_000
_CHECKS_PER_S: Final = 8_000
_STALLED_PER_S: Final = 200
_ROUNDS: Final = 3
# As many as the pool has connections: who finds none waits in its queue, which costs
# more than the wait for an arrival.
_CALLERS: Final = 8
_USERS: Final = 50
# Of the overhead: which two arms differ by it. The last one is no part of it: it is
# what a listener to each request, as a plug-in of locust's may bring one, adds.
_PARTS: Final = {
    "task_loop": ("unwatched", "raw"),
    "timing": ("unrecorded", "unwatched"),
    "recording": ("locust", "unrecorded"),
    "listener": ("heard", "locust"),
}
_LONGEST_S: Final = 300.0
_PROFILE: Final = """
title = "The harness itself"
[load]
users = 50
think_ms = [0, 0]
arrivals = "uniform"
[reads]
replica_share = 0.0
[world]
sessions = 50
[weights]
"sessions.validate" = 1
"""
Progress = Callable[[str], None]


def run(seconds: float, progress: Progress) -> Report:
    """Measure and judge.

    Args:
        seconds: length of each measurement.
        progress: called with each step in words.

    Raises:
        LabError: the lab or a load could not run.
    """
    import authkit.lab
    from authkit.ops.migrate import upgrade
    from authkit.workload.load import seed

    started, began = datetime.now(UTC), perf_counter()
    with (
        authkit.lab.cluster(replicas=1, in_memory=True, progress=progress) as lab,
        TemporaryDirectory() as folder,
    ):
        upgrade(lab.url())
        seed(lab.url(), users=200, days=2, seed=1)
        lab.wait_replayed()
        loads = _Loads(Path(folder), lab.env(), seconds)
        figures = (
            *loads.costs(progress),
            *loads.offered("nothing", "noop.py", _NOTHING_PER_S, _USERS, progress),
            *loads.offered(
                "checks", "locustfile.py", _CHECKS_PER_S, _CALLERS, progress
            ),
            *loads.processes(progress),
            *loads.stall(progress),
        )
    return Report("load-overhead", started, perf_counter() - began, figures)


class _Loads:
    """Runs loads one after another on one lab."""

    def __init__(self, folder: Path, env: Mapping[str, str], seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._profile = folder / "overhead.toml"
        self._profile.write_text(_PROFILE, encoding="utf-8")
        self._env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AUTHKIT_LOAD")},
            **env,
        }

    def costs(self, progress: Progress) -> tuple[Figure, ...]:
        """Return CPU per operation of greenlets alone, of locust, and of its parts."""
        progress("CPU per operation, beside greenlets that have no harness")
        arguments = ["-m", "authkit.harness.arms", str(self._seconds * _ROUNDS)]
        turns = json.loads(self._python(arguments, {}).splitlines()[-1])

        def more(arm: str, than: str) -> float:
            pairs = zip(turns[arm], turns[than], strict=True)
            return round(median(one - other for one, other in pairs), 2)

        return (
            figure("raw_cpu_us", round(median(turns["raw"]), 2), "us"),
            figure("locust_cpu_us", round(median(turns["locust"]), 2), "us"),
            figure("overhead_cpu_us", more("locust", "raw"), "us", goal=("<=", 15.0)),
            *(
                figure(f"{part}_cpu_us", more(arm, than), "us")
                for part, (arm, than) in _PARTS.items()
            ),
        )

    def offered(
        self, name: str, locustfile: str, rate: int, users: int, progress: Progress
    ) -> tuple[Figure, ...]:
        """Return whether one process keeps a schedule of so many arrivals a second."""
        progress(f"An open loop of {rate:,} {name} a second")
        found = self._load(locustfile, users, 1, {"AUTHKIT_LOAD_RATE": str(rate)})
        # A schedule that is kept is short of its rate by what the edges cut off.
        return (
            figure(
                f"{name}_per_s",
                found["operations_per_s"],
                "1/s",
                goal=(">=", 0.97 * rate),
            ),
            figure(
                f"{name}_lag_p99_ms",
                found["generator_lag_p99_ms"],
                "ms",
                goal=("<=", 2.0),
            ),
        )

    def processes(self, progress: Progress) -> tuple[Figure, ...]:
        """Return how much more two processes offer than one where no server limits."""
        ratios: list[float] = []
        for turn in range(_ROUNDS):
            progress(f"Two processes beside one, turn {turn + 1} of {_ROUNDS}")
            one, two = (
                self._load("noop.py", _USERS * count, count, {}) for count in (1, 2)
            )
            ratios.append(two["operations_per_s"] / one["operations_per_s"])
        ratio = round(median(ratios), 3)
        return (figure("two_processes_ratio", ratio, "1", goal=(">=", 1.5)),)

    def stall(self, progress: Progress) -> tuple[Figure, ...]:
        """Return what both loops tell of a table that is locked for a second.

        Arrivals come evenly, so of T seconds the hundredth part that waited longest are
        those due in the first T/100 seconds of the lock: p99 is the lock less T/100.
        """
        progress("A table locked for a second, under an open loop and a closed one")
        lock = {"AUTHKIT_LOAD_FAULT": "at=1500ms,kind=lock-table,for=1s"}
        rate = {"AUTHKIT_LOAD_RATE": str(_STALLED_PER_S)}
        seconds = {"AUTHKIT_LOAD_SECONDS": str(max(self._seconds, 4.0))}
        path = "locustfile.py"
        opened = self._load(path, _USERS, 1, {**lock, **rate, **seconds})
        closed = self._load(path, _CALLERS, 1, {**lock, **seconds})
        by_hand = opened["fault_ms"] - 10 * float(seconds["AUTHKIT_LOAD_SECONDS"])
        off = abs(opened["response_p99_ms"] / by_hand - 1)
        return (
            figure("stall_by_hand_p99_ms", round(by_hand, 3), "ms"),
            figure("stall_open_p99_ms", opened["response_p99_ms"], "ms"),
            figure("stall_closed_p99_ms", closed["service_p99_ms"], "ms"),
            figure("stall_open_off_by", round(off, 4), "1", goal=("<=", 0.1)),
        )

    def _load(
        self,
        locustfile: str,
        users: int,
        processes: int,
        variables: Mapping[str, str],
    ) -> dict[str, float]:
        from authkit.harness.command import locust_arguments

        target = self._folder / "load.json"
        arguments = locust_arguments(
            _HERE / locustfile, users=users, processes=processes
        )
        given = {
            "AUTHKIT_LOAD_PROFILE": str(self._profile),
            "AUTHKIT_LOAD_SECONDS": str(self._seconds),
            "AUTHKIT_LOAD_JSON": str(target),
            **variables,
        }
        self._python(arguments, given)
        found = json.loads(target.read_text(encoding="utf-8"))
        target.unlink()
        return {one["name"]: one["value"] for one in found["figures"]}

    def _python(self, arguments: list[str], variables: Mapping[str, str]) -> str:
        try:
            ran = subprocess.run(
                [sys.executable, *arguments],
                env={**self._env, **variables},
                capture_output=True,
                text=True,
                check=False,
                timeout=_LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            raise LabError("a load that measures the harness did not end") from None
        # 2: the run says of itself that it was late, which is what is measured here.
        if ran.returncode not in {0, 2}:
            raise LabError(
                f"a load that measures the harness failed: {_last_line(ran)}"
            )
        return ran.stdout


def _last_line(ran: Any) -> str:
    lines = [line for line in ran.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {ran.returncode}"
