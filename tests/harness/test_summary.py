from __future__ import annotations

from authkit.harness.faults import parse
from authkit.harness.phases import Mark
from authkit.harness.recorder import Recorder
from authkit.harness.recording import Recording
from authkit.harness.summary import cut, of_phases, of_run, told

KILLED = (
    Mark(4.0, "killed", "a"),
    Mark(4.5, "promoted", "b"),
    Mark(9.0, "rejoined", "a"),
)
PAUSED = (Mark(1.0, "paused", "b"), Mark(2.0, "resumed", "b"))


def served(primary: list[float], replica: list[float]) -> Recording:
    now = [0.0]
    recorder = Recorder(slot_s=0.25, clock=lambda: now[0])
    for role, moments in (("primary", primary), ("replica", replica)):
        for moment in moments:
            now[0] = moment
            recorder.record("sessions.validate", role, role, 0.001)
    return recorder.drain()


def test_each_role_is_asked_for_answers_while_it_was_struck_itself():
    seen = served([0.5, 3.9, 5.0, 9.5], [0.5, 0.9, 2.1, 3.5])
    faults = (parse("at=1,kind=pause-replica"), parse("at=4,kind=kill-primary"))
    # No replica serves after the promotion, and that is no outage of the primary.
    found = told(seen, faults, (*PAUSED, *KILLED))
    assert found is not None
    assert found.struck == (1.0, 4.5)
    assert found.recovery_ms == 1200.0  # the replica's; the primary's was 1.1 s


def test_an_outage_whose_end_was_not_seen_has_no_recovery_time_and_no_after():
    found = told(served([0.5, 3.9], []), (parse("at=4,kind=kill-primary"),), KILLED)
    assert found is not None
    assert found.recovery_ms is None
    phases = cut((0.0, 10.0), served([0.5, 3.9], []), found)
    assert [phase.name for phase in phases if phase.end > phase.first] == [
        "before",
        "during",
    ]


def test_a_run_without_a_fault_has_no_phases_apart():
    seen = served([0.5], [])
    assert told(seen, (), ()) is None
    assert of_phases(seen, cut((0.0, 1.0), seen, None)) == ()


def test_a_stale_authorisation_misses_its_goal_without_being_asked():
    recorder = Recorder()
    recorder.record("sessions.validate", "primary", "a", 0.001)
    recorder.count("stale authorisation")
    missed = [
        found.name for found in of_run(recorder.drain(), 1.0) if found.holds is False
    ]
    assert "stale_authorisations" in missed
