"""Locust's own statistics, fed by the slot, say what they say when told each call."""

from __future__ import annotations

import json
import subprocess
import sys

COUNTED = """
import json, sys
from random import Random
from locust.env import Environment
from locust.event import Events
from authkit.harness.recorder import Recorder
from authkit.harness.tally import Tally

def counted(listening_from):
    environment = Environment(events=Events())
    environment.create_local_runner()
    tally, now, heard = Tally(environment), [1_800_000_000.0], []
    recorder = Recorder(clock=lambda: now[0], closed=tally.add)
    tally.close = recorder.close
    tally.look()
    assert tally.batched
    source = Random(7)
    for number in range(3000):
        now[0] += source.expovariate(1000)
        if number == listening_from:
            environment.events.request.add_listener(lambda **call: heard.append(call))
        if len(tally.listeners) != tally.seen:
            tally.look()
        name = source.choice(("sessions.validate", "sessions.touch"))
        seconds = source.lognormvariate(-5, 2)
        failed = number % 100 == 0
        recorder.record(
            name, "primary", "a", seconds, error="Unavailable" if failed else None
        )
        if failed or not tally.batched:
            tally.tell(name, "primary", seconds, OSError("x") if failed else None)
    recorder.close_if_over()
    now[0] += 1
    recorder.close_if_over()
    stats = environment.stats
    rows = [stats.total, *(stats.entries[key] for key in sorted(stats.entries))]
    return [len(heard), *(
        {
            "name": row.name, "method": row.method,
            "requests": row.num_requests, "failures": row.num_failures,
            "by second": sum(row.num_reqs_per_sec.values()),
            "sum": row.total_response_time,
            "least": row.min_response_time, "greatest": row.max_response_time,
            "median": row.get_response_time_percentile(0.5),
            "p99": row.get_response_time_percentile(0.99),
            "buckets": sum(row.response_times.values()),
        }
        for row in rows
    )]

def left_after_a_reset():
    environment = Environment(events=Events())
    environment.create_local_runner()
    tally = Tally(environment)
    recorder = Recorder(closed=tally.add)
    tally.close = recorder.close
    tally.look()
    for _ in range(3):
        recorder.record("sessions.touch", "primary", "a", 0.001)
    environment.stats.reset_all()  # as locust's --reset-stats, then its event
    tally.reset()
    recorder.record("sessions.touch", "primary", "a", 0.001)
    recorder.close()
    return environment.stats.total.num_requests

assert left_after_a_reset() == 1
print(json.dumps([counted(at) for at in (0, 1500, -1)]))
"""


def test_locusts_statistics_are_the_same_by_the_slot_and_by_the_call():
    ran = subprocess.run(
        [sys.executable, "-c", COUNTED], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    by_call, joined, by_slot = json.loads(ran.stdout)
    # Who listens hears each call from then on; who does not, still the failures.
    assert (by_call[0], joined[0], by_slot[0]) == (3000, 1500, 0)
    assert by_call[1]["requests"] == 3000
    for rows in (joined, by_slot):
        for row, wanted in zip(rows[1:], by_call[1:], strict=True):
            for name, value in wanted.items():
                if isinstance(value, str) or name in EXACT:
                    assert row[name] == value, name
                else:
                    # A nanosecond is the recorder's unit; a bucket, a tenth of a
                    # per cent wide, may round to the neighbour of locust's.
                    assert abs(row[name] / value - 1) < NEAR[name], name


EXACT = {"requests", "failures", "by second", "buckets"}
NEAR = {"sum": 1e-4, "least": 1e-2, "greatest": 1e-6, "median": 0.03, "p99": 0.03}
