from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from authkit.errors import ConfigError
from authkit.harness.phases import Struck, cut, phases
from authkit.harness.recorder import Recorder, Recording
from authkit.harness.slo import evaluate, invalid, parse, read

NAMES = ("sessions.validate", "sessions.create")


def recording(
    loop="closed", *, lag_s: float = 0.0, skipped: int = 0, fail: int = 0
) -> Recording:
    now = [0.0]
    recorder = Recorder(slot_s=1.0, loop=loop, clock=lambda: now[0])
    for second in range(10):
        now[0] = second + 0.5
        # 1 ms in every second but the fifth, which takes 100 ms.
        taken = 0.1 if second == 5 else 0.001
        recorder.record(
            "sessions.validate",
            "primary",
            "a",
            taken,
            response_s=taken * 2 if loop == "open" else None,
        )
        recorder.arrival(lag_s, late=False)
    for _ in range(fail):
        recorder.record("sessions.validate", None, None, 0.1, error="NoPrimary")
    recorder.skip(skipped)
    return recorder.drain()


def slo(text: str):
    return parse(tomllib.loads(text), NAMES)


def test_each_bound_becomes_a_figure_that_holds_or_not():
    goals = slo(
        """
        [[goal]]
        operation = "sessions.validate"
        p50_ms = 2
        p99_ms = 50
        error_rate = 0
        """
    )
    figures = {f.name: f for f in evaluate(goals, recording(fail=1), ())}
    assert figures["sessions.validate[all].p50_ms"].holds is True
    assert figures["sessions.validate[all].p99_ms"].holds is False
    assert figures["sessions.validate[all].error_rate"].value == pytest.approx(1 / 11)
    assert figures["sessions.validate[all].error_rate"].holds is False


def test_a_goal_of_a_phase_looks_at_its_slots_only():
    text = '[[goal]]\nphase = "{}"\np99_ms = 2'
    cut = phases((0.0, 10.0), 1.0, (5.2, 5.4))
    held = {
        name: evaluate(slo(text.format(name)), recording(), cut)[0].holds
        for name in ("before", "during", "after")
    }
    assert held == {"before": True, "during": False, "after": True}


@pytest.mark.parametrize(
    "text",
    [
        'operation = "sessions.create"\np99_ms = 1000',
        'phase = "during"\nerror_rate = 1',
        'phase = "during"\nstale_reads = 0',
    ],
)
def test_a_goal_nobody_exercised_does_not_hold(text: str):
    (figure,) = evaluate(slo(f"[[goal]]\n{text}"), recording(), ())
    assert (figure.value, figure.holds) == (None, False)


def test_an_open_loop_is_judged_by_response_time():
    goals = slo("[[goal]]\np50_ms = 1.5")
    assert evaluate(goals, recording("closed"), ())[0].holds is True
    assert evaluate(goals, recording("open"), ())[0].holds is False


def test_the_outage_is_a_goal_of_its_own():
    (figure,) = evaluate(slo("[recovery]\noutage_ms = 500"), recording(), (), 640.0)
    assert (figure.name, figure.value, figure.holds) == ("outage_ms", 640.0, False)


def test_a_late_generator_makes_the_run_invalid():
    limits = slo("[generator]\nlag_p99_ms = 2")
    assert invalid(limits, recording("open", lag_s=0.0005)) is None
    assert "bottleneck" in str(invalid(limits, recording("open", lag_s=0.02)))


def test_a_closed_loop_is_invalid_only_when_its_timers_are_late_as_a_rule():
    starved, stalled = Recorder(), Recorder()
    for recorder, late in ((starved, 9), (stalled, 1)):
        recorder.record("sessions.validate", "primary", "a", 0.001)
        for number in range(10):
            recorder.lagged(0.3 if number < late else 0.001)
    assert "lag p50 was 300" in str(invalid(slo(""), starved.drain()))
    calm = stalled.drain()
    assert invalid(slo(""), calm) is None
    assert "lag p99" in str(invalid(slo("[generator]\nlag_p99_ms = 5"), calm))


def test_an_error_rate_within_its_budget_tells_how_much_of_it_is_spent():
    goals = slo('[[goal]]\noperation = "*"\nerror_rate = 0.5')
    spent = evaluate(goals, recording("closed", fail=1), ())[-1]
    assert spent.name == "*[all].error_budget_spent"
    assert spent.value is not None
    assert 0 < float(spent.value) < 1


def test_stale_reads_have_a_bound_in_a_phase():
    now = [0.0]
    recorder = Recorder(slot_s=1.0, clock=lambda: now[0])
    for at in (0.5, 5.5, 5.6):
        now[0] = at
        recorder.record("sessions.validate", "replica", "b", 0.001)
        recorder.count("stale read")
    seen = recorder.drain()
    cuts = phases((0.0, 10.0), 1.0, (5.0, 6.0))
    goals = slo(
        '[[goal]]\noperation = "*"\nphase = "during"\nstale_reads = 1\n'
        '[[goal]]\noperation = "*"\nstale_reads = 3'
    )
    during, whole = evaluate(goals, seen, cuts)
    assert (during.value, during.holds) == (2, False)
    assert (whole.value, whole.holds) == (3, True)
    with pytest.raises(ConfigError, match="stale_reads is for operation"):
        slo('[[goal]]\noperation = "sessions.validate"\nstale_reads = 1')


def test_arrivals_given_up_make_the_run_invalid():
    assert "gave up 3" in str(invalid(slo(""), recording("open", skipped=3)))
    assert (
        invalid(slo("[generator]\nskipped = 3"), recording("open", skipped=3)) is None
    )


def test_a_run_without_an_operation_is_invalid():
    assert invalid(slo(""), Recorder().drain()) == "no operation was run"


def test_every_fault_of_the_file_is_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        slo(
            """
            [generator]
            lag = 1
            [[goal]]
            operation = "sessions.dance"
            phase = "twice"
            p99_ms = -1
            [[goal]]
            operation = "*"
            [surprise]
            """
        )
    text = str(caught.value)
    for word in ("'lag'", "sessions.dance", "phase is one of", "p99_ms", "surprise"):
        assert word in text
    assert "goal 2 sets no bound" in text


def test_a_file_that_is_missing_or_not_toml_is_one_clear_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.toml", NAMES)
    broken = tmp_path / "broken.toml"
    broken.write_text("[[goal")
    with pytest.raises(ConfigError, match="is not TOML"):
        read(broken, NAMES)


def test_a_goal_may_be_for_the_phase_of_one_fault_among_several():
    for struck, holds in ((5.2, False), (2.0, True)):
        faults = [Struck(struck, struck, "lag"), Struck(8.0, 8.2, "lag-2")]
        goals = slo('[[goal]]\nphase = "during-lag"\np99_ms = 5\n')
        (figure,) = evaluate(goals, recording(), cut((0.0, 10.0), 1.0, faults))
        assert (figure.name, figure.holds) == ("*[during-lag].p99_ms", holds)
    with pytest.raises(ConfigError, match="as in during-kill-primary"):
        slo('[[goal]]\nphase = "during-sleep"\np99_ms = 5\n')
