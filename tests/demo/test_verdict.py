from __future__ import annotations

from dataclasses import replace

import pytest

from authkit.demo.verdict import Observed, figures, invalid, story
from authkit.harness.history import Write
from authkit.harness.phases import Mark
from authkit.harness.recorder import Recorder, Recording
from authkit.ids import uuid7

START = 1_800_000_000.0
KILLED, PROMOTED, WRITING = START + 4.0, START + 4.2, START + 4.8


def recording(*, replica: bool = True, after: bool = True) -> Recording:
    now = [START]
    recorder = Recorder(slot_s=0.25, clock=lambda: now[0])
    for tenth in range(100):
        now[0] = at = START + tenth / 10
        if at < KILLED:
            recorder.record("sessions.create", "primary", "node1", 0.002)
            if replica:
                recorder.record("sessions.validate", "replica", "node2", 0.001)
        elif at < WRITING:
            recorder.record("sessions.create", None, None, 0.1, error="NoPrimary")
            recorder.record("sessions.validate", None, None, 0.1, error="NoReplica")
        elif after:
            recorder.record("sessions.create", "primary", "node2", 0.002)
    return recorder.drain()


def seen() -> Observed:
    moments = [*(START + n / 10 for n in range(40)), WRITING, START + 9.0]
    return Observed(
        recording=recording(),
        span=(START, START + 10),
        marks=(
            Mark(KILLED, "killed", "node1"),
            Mark(PROMOTED, "promoted", "node2"),
            Mark(START + 6.5, "rejoining", "node1"),
            Mark(START + 6.8, "rejoined", "node1"),
            Mark(START + 7.0, "streaming", "node1"),
        ),
        start_roles={"node1": "primary", "node2": "replica"},
        writes=tuple(Write(at, "session", uuid7()) for at in moments),
        lost=(),
        checks=("42 writes on node2: 0 missing",),
        reads=frozenset({"sessions.validate"}),
    )


def values(observed: Observed) -> dict[str, object]:
    return {f.name: f.value for f in figures(observed, "report.html")}


def test_figures_say_what_the_failover_cost():
    found = values(seen())
    assert found["outage_ms"] == pytest.approx(900, abs=1)
    assert found["promotion_ms"] == pytest.approx(200, abs=1)
    assert found["rejoin_ms"] == pytest.approx(500, abs=1)
    assert (found["acknowledged_writes"], found["acknowledged_writes_lost"]) == (42, 0)
    assert found["errors.NoPrimary"] == 8
    assert found["reads_failed"] == 8
    assert found["report"] == "report.html"


def test_a_sound_run_is_valid_and_holds_its_goals():
    assert invalid(seen()) is None
    assert all(f.holds is not False for f in figures(seen(), "report.html"))


def test_a_lost_write_is_a_missed_goal_and_not_an_invalid_run():
    observed = replace(seen(), lost=seen().writes[:1])
    held = {f.name: f.holds for f in figures(observed, "report.html")}
    assert held["acknowledged_writes_lost"] is False
    assert invalid(observed) is None


def test_an_outage_beyond_three_seconds_is_a_missed_goal():
    writes = [w for w in seen().writes if not KILLED < w.at_s < START + 8]
    held = {
        f.name: f.holds
        for f in figures(replace(seen(), writes=tuple(writes)), "report.html")
    }
    assert held["outage_ms"] is False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"problem": "the load ended early"}, "the load ended early"),
        ({"recording": Recorder().drain()}, "no operation succeeded"),
        ({"marks": ()}, "the failover did not take place"),
        ({"writes": ()}, "no write was acknowledged before"),
        ({"writes": seen().writes[:3]}, "no write was acknowledged after"),
        ({"recording": recording(replica=False)}, "node2 served nothing as the rep"),
        ({"recording": recording(after=False)}, "node2 served nothing after its"),
        ({"marks": seen().marks[:-1]}, "did not follow the new one"),
    ],
)
def test_a_run_that_shows_no_failover_proves_nothing(change, reason: str):
    assert reason in str(invalid(replace(seen(), **change)))


def test_the_story_marks_the_first_write_after_the_outage():
    told = story(seen(), figures(seen(), "report.html"), ())
    assert [mark.what for mark in told.marks if mark.at_s == WRITING] == ["writing"]
    assert [phase.name for phase in told.phases] == ["before", "during", "after"]
    assert "none was lost" in told.summary


def test_the_story_of_a_run_that_proves_nothing_says_so_first():
    broken = replace(seen(), problem="the load ended early")
    told = story(broken, figures(broken, "report.html"), ())
    assert told.invalid == "the load ended early"
