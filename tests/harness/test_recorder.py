from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authkit.errors import InvalidInput
from authkit.harness.recorder import Key, Recorder, Recording, merged

call = st.fixed_dictionaries(
    {
        "at": st.floats(min_value=0, max_value=20),
        "operation": st.sampled_from(["sessions.validate", "sessions.create"]),
        "node": st.sampled_from([("primary", "a"), ("replica", "b"), (None, None)]),
        "seconds": st.floats(min_value=0, max_value=2),
        "wait": st.sampled_from([0.0, 0.01]),
        "response": st.none() | st.floats(min_value=0, max_value=3),
        "error": st.none() | st.sampled_from(["NoPrimary", "40 rollback"]),
    }
)
calls = st.lists(call, max_size=40)


def recorded(entries: list[dict]) -> Recording:
    now = [0.0]
    recorder = Recorder(slot_s=0.25, loop="open", clock=lambda: now[0])
    for entry in entries:
        now[0] = entry["at"]
        role, node = entry["node"]
        recorder.record(
            entry["operation"],
            role,
            node,
            entry["seconds"],
            response_s=entry["response"],
            error=entry["error"],
            wait_s=entry["wait"],
        )
        recorder.count("retry", node or "none")
        recorder.visited("login", entry["seconds"], entry["response"], entry["error"])
        recorder.arrival(entry["seconds"] / 1000, late=entry["seconds"] > 1)
    return recorder.drain()


@given(st.lists(calls, min_size=1, max_size=4))
def test_recordings_of_workers_merge_into_what_one_process_would_have_recorded(
    parts: list[list[dict]],
):
    together = recorded([entry for part in parts for entry in part])
    assert merged(recorded(part) for part in parts) == together


@given(calls)
def test_a_recording_survives_json(entries: list[dict]):
    recording = recorded(entries)
    assert Recording.from_dict(json.loads(json.dumps(recording.as_dict()))) == recording


@given(calls)
def test_draining_twice_gives_everything_once(entries: list[dict]):
    now = [0.0]
    recorder = Recorder(clock=lambda: now[0])
    for entry in entries:
        recorder.record(entry["operation"], *entry["node"], entry["seconds"])
    first, second = recorder.drain(), recorder.drain()
    assert (first.select().calls, second.select().calls) == (len(entries), 0)


def test_slots_are_cut_by_the_clock_and_selected_by_key():
    recording = recorded(
        [
            {
                "at": at,
                "operation": "sessions.validate",
                "node": ("replica", "b"),
                "seconds": 0.001,
                "wait": 0.0,
                "response": None,
                "error": None,
            }
            for at in (0.1, 0.2, 0.3)
        ]
    )
    assert [slot for slot, _ in recording.cells] == [0, 1]
    assert recording.keys == (Key("sessions.validate", "replica", "b"),)
    assert recording.select(slots=lambda slot: slot == 0).succeeded == 2
    assert recording.span == (0.0, 0.5)


def test_failures_count_apart_from_latency():
    recorder = Recorder()
    recorder.record("sessions.create", None, None, 0.5, error="NoPrimary")
    cell = recorder.drain().select()
    assert (cell.succeeded, cell.failed.count, cell.errors) == (0, 1, {"NoPrimary": 1})


def test_a_silence_is_the_longest_gap_that_a_fault_touched():
    now = [0.0]
    recorder = Recorder(clock=lambda: now[0])
    for at in (0.5, 1.0, 2.0, 2.9, 3.5, 9.0):
        now[0] = at
        recorder.record("sessions.validate", "primary", "a", 0.001)
    recording = recorder.drain()
    assert recording.silence("primary", 1.5, 2.5) == pytest.approx((1.0, 2.0))
    assert recording.silence("primary", 0.1, 2.5) is None  # nothing before it
    assert recording.silence("primary", 8.0, 9.5) is None  # nothing came back
    assert recording.silence("replica", 1.5, 2.5) is None


def test_a_silence_may_begin_with_an_answer_that_was_under_way_as_the_fault_ended():
    now = [0.0]
    recorder = Recorder(clock=lambda: now[0])
    for at in (7.995, 8.012, 8.5):
        now[0] = at
        recorder.record("sessions.validate", "primary", "a", 0.001)
    found = recorder.drain().silence("primary", 8.0, 8.005)
    assert found == pytest.approx((8.01, 8.5))


def test_recordings_with_other_slots_are_refused():
    with pytest.raises(InvalidInput):
        Recording(0.25, "closed").merge(Recording(1.0, "closed"))
