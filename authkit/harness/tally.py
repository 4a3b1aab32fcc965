"""Feeds locust's own statistics by the slot instead of by the call.

Its two entries for each request, and the event that leads to them, took a fifth of what
the harness costs; the recorder has the same calls in its histograms. They are handed
over as a worker's report is handed to its master, by `StatsEntry.extend`: counts, sums,
least and greatest are exact, a bucket is at most a tenth of a per cent off before
locust rounds it. Failures, and every call as soon as somebody else listens to
`events.request`, are told one by one as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

from locust import stats as locust_stats
from locust.env import Environment
from locust.stats import StatsEntry

from authkit.harness.histogram import highest_in
from authkit.harness.recording import NO_NODE, Cell, Key


class Tally:
    """The statistics of one locust environment.

    `batched` is true while nobody but these listens to requests: calls that succeeded
    come by the slot then. `seen` is how many `listeners` there were when that was
    decided; look again when it is another number. `close` has the recorder tell of the
    calls up to now.
    """

    def __init__(self, environment: Environment) -> None:
        self._request: Any = environment.events.request
        self._stats = environment.stats
        self.listeners: list[Any] = self._request._handlers
        self.seen = -1
        self.batched = False
        self.close: Callable[[], None] = lambda: None

    def look(self) -> None:
        """Decide how calls are told; those up to now still are as they were."""
        self.close()
        self.seen = len(self.listeners)
        self.batched = [one.__module__ for one in self.listeners] == ["locust.runners"]

    def reset(self) -> None:
        """Leave out the calls up to now: locust began its statistics anew."""
        self.batched = False
        self.look()

    def tell(
        self, operation: str, role: str, seconds: float, error: Exception | None
    ) -> None:
        """Tell everybody who listens of one call, as locust's own clients do."""
        self._request.fire(
            request_type=role or NO_NODE,
            name=operation,
            response_time=seconds * 1000,
            response_length=0,
            exception=error,
            context={},
        )

    def add(self, began_s: float, key: Key, calls: Cell) -> None:
        """Add the calls of one key that succeeded in the slot that began then."""
        times = calls.response if calls.response.count else calls.service
        if not (self.batched and times.count):
            return
        rounded: dict[int, int] = {}
        for index, count in times.counts.items():
            # By its name in the module: locust's users may put another one there.
            at = locust_stats.bucket_response_time(highest_in(index) / 1e6)
            rounded[at] = rounded.get(at, 0) + count
        now = time()
        report: Any = {
            "name": key.operation,
            "method": key.role,
            "last_request_timestamp": now,
            "start_time": min(now, max(began_s, self._stats.total.start_time)),
            "num_requests": times.count,
            "num_none_requests": 0,
            "num_failures": 0,
            "total_response_time": times.sum_ns / 1e6,
            "max_response_time": times.max_ns / 1e6,
            "min_response_time": times.min_ns / 1e6,
            "total_content_length": 0,
            "response_times": rounded,
            "num_reqs_per_sec": {int(began_s): times.count},
            "num_fail_per_sec": {},
        }
        part = StatsEntry.unserialize(report, self._stats)
        self._stats.total.extend(part)
        self._stats.entries[key.operation, key.role].extend(part)
