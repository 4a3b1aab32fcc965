from __future__ import annotations

from authkit.harness.faults import parse
from authkit.harness.phases import Mark
from authkit.harness.recorder import Recorder
from authkit.harness.recording import Recording
from authkit.harness.summary import cut, longest_ms, of_faults, of_phases, of_run, told

KILLED = (
    Mark(4.0, "killed", "a", 1),
    Mark(4.5, "promoted", "b", 1),
    Mark(9.0, "rejoined", "a", 1),
)
PAUSED = (Mark(1.0, "paused", "b"), Mark(2.0, "resumed", "b"))
FAULTS = (parse("at=1,kind=pause-replica"), parse("at=4,kind=kill-primary"))


def served(primary: list[float], replica: list[float]) -> Recording:
    now = [0.0]
    recorder = Recorder(slot_s=0.25, clock=lambda: now[0])
    for role, moments in (("primary", primary), ("replica", replica)):
        for moment in moments:
            now[0] = moment
            recorder.record("sessions.validate", role, role, 0.001)
    return recorder.drain()


def test_each_fault_has_an_outage_of_its_own_and_its_own_phases():
    seen = served([0.5, 3.9, 5.0, 9.5], [0.5, 0.9, 2.1, 3.5])
    # No replica serves after the promotion, and that is no outage of the primary.
    found = told(seen, FAULTS, (*PAUSED, *KILLED))
    assert [(one.of, one.struck, one.recovery_ms) for one in found] == [
        ("pause-replica", (1.0, 2.0), 1200.0),
        ("kill-primary", (4.0, 4.5), 1100.0),
    ]
    values = {one.name: one.value for one in of_faults(found)}
    assert values["recovery_ms"] == 1200.0
    assert values["kill-primary.recovery_ms"] == 1100.0
    titles = [phase.title for phase in cut((0.0, 10.0), seen, found)]
    assert titles == [
        "before",
        *("during-pause-replica", "after-pause-replica"),
        *("during-kill-primary", "after-kill-primary"),
    ]


def test_of_two_faults_of_a_kind_the_second_has_a_number():
    marks = (Mark(1.0, "dropped", "a", 0), Mark(2.0, "dropped", "a", 1))
    faults = (parse("at=1,kind=drop-connections"), parse("at=2,kind=drop-connections"))
    found = told(served([0.5, 1.5, 2.5], []), faults, marks)
    assert [one.of for one in found] == ["drop-connections", "drop-connections-2"]


def test_an_outage_whose_end_was_not_seen_has_no_recovery_time_and_no_after():
    seen = served([0.5, 3.9], [0.5, 0.9, 2.1])
    found = told(seen, FAULTS, (*PAUSED, *KILLED))
    assert [one.recovery_ms for one in found] == [1200.0, None]
    assert longest_ms(found) is None
    phases = cut((0.0, 10.0), seen, found)
    assert [phase.name for phase in phases if phase.end > phase.first] == [
        *("before", "during", "after", "during")
    ]


def test_a_run_without_a_fault_has_no_phases_apart():
    seen = served([0.5], [])
    assert told(seen, (), ()) == ()
    assert of_phases(seen, cut((0.0, 1.0), seen, ())) == ()


def test_a_stale_authorisation_misses_its_goal_without_being_asked():
    recorder = Recorder()
    recorder.record("sessions.validate", "primary", "a", 0.001)
    recorder.count("stale authorisation")
    missed = [
        found.name for found in of_run(recorder.drain(), 1.0) if found.holds is False
    ]
    assert "stale_authorisations" in missed
