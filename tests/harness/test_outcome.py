"""What the page of a load run begins with."""

from __future__ import annotations

from authkit.harness.outcome import headlines
from authkit.harness.recorder import Recorder


def test_a_run_in_which_every_call_failed_has_no_rate_and_no_latency():
    recorder = Recorder(clock=lambda: 1000.0)
    for _ in range(50):
        recorder.record("sessions.validate", "primary", "a", 5.0, error="Unavailable")
    found = {tile.label: tile for tile in headlines(recorder.drain(), 10.0)}
    assert found["operations"].value == found["failed"].value == "50"
    assert found["operations"].note == "0 per second succeeded"
    assert found["service time, p50"].value == found["service time, p99"].value == "–"  # noqa: RUF001 # a dash, as the page has it


def test_a_page_begins_with_the_rate_and_the_latency_of_what_succeeded():
    recorder = Recorder(loop="open", clock=lambda: 1000.0)
    for response_s in (0.002, 0.002, 0.004):
        recorder.record(
            "sessions.validate", "primary", "a", 0.001, response_s=response_s
        )
    recorder.record("sessions.validate", "primary", "a", 5.0, error="Unavailable")
    found = {tile.label: tile for tile in headlines(recorder.drain(), 1.5)}
    assert found["operations"].note == "2 per second succeeded"
    assert found["response time, p50"].value == "2 ms"
    assert found["response time, p99"].value == "4 ms"
