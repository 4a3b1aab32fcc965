from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from authkit.harness.phases import Mark, Struck, cut, effect, phases, roles


def spans(found) -> dict[str, tuple[int, int]]:
    return {phase.name: (phase.first, phase.end) for phase in found}


def test_a_run_without_a_fault_is_one_phase():
    assert spans(phases((10.0, 12.0), 0.25)) == {"all": (40, 48)}


def test_the_slots_of_the_fault_and_the_one_after_it_belong_to_during():
    found = spans(phases((10.0, 20.0), 1.0, (14.5, 15.2)))
    assert found == {"before": (10, 14), "during": (14, 17), "after": (17, 20)}


def test_a_fault_that_never_ends_leaves_no_after():
    found = spans(phases((10.0, 20.0), 1.0, (14.5, None)))
    assert found == {"before": (10, 14), "during": (14, 20), "after": (20, 20)}


def test_faults_that_overlap_share_their_phases_and_others_have_their_own():
    faults = (Struck(2.0, 3.0, "a"), Struck(3.5, 5.0, "b"), Struck(8.0, None, "c"))
    found = [(p.title, p.first, p.end) for p in cut((0.0, 12.0), 1.0, faults)]
    assert found == [
        ("before", 0, 2),
        ("during-a+b", 2, 7),
        ("after-a+b", 7, 8),
        ("during-c", 8, 12),
        ("after-c", 12, 12),
    ]


@given(
    st.floats(0, 100),
    st.floats(0.1, 50),
    st.lists(st.tuples(st.floats(-10, 200), st.none() | st.floats(0, 50)), max_size=4),
)
def test_every_slot_belongs_to_exactly_one_phase(start, length, faults):
    span = (start, start + length)
    struck = [
        Struck(began, None if lasted is None else began + lasted, str(number))
        for number, (began, lasted) in enumerate(faults)
    ]
    found = cut(span, 0.25, struck)
    whole = phases(span, 0.25)[0]
    for slot in range(whole.first, whole.end):
        assert sum(phase.holds(slot) for phase in found) == 1


def test_roles_follow_the_marks():
    marks = [
        Mark(100.0, "started"),
        Mark(108.0, "killed", "n1"),
        Mark(108.5, "promoted", "n2"),
        Mark(113.0, "rejoined", "n1"),
    ]
    assert roles(marks, {"n1": "primary", "n2": "replica"}, 120.0) == [
        ("n1", "primary", 100.0, 108.0),
        ("n1", "down", 108.0, 113.0),
        ("n1", "replica", 113.0, 120.0),
        ("n2", "replica", 100.0, 108.5),
        ("n2", "primary", 108.5, 120.0),
    ]


def test_a_node_that_was_frozen_is_afterwards_what_it_was_before():
    marks = (Mark(2.0, "frozen", "a"), Mark(3.0, "thawed", "a"))
    found = roles((Mark(0.0, "started"), *marks), {"a": "primary", "b": "replica"}, 5.0)
    assert found == [
        ("a", "primary", 0.0, 2.0),
        ("a", "down", 2.0, 3.0),
        ("a", "primary", 3.0, 5.0),
        ("b", "replica", 0.0, 5.0),
    ]


def test_a_fault_has_its_effect_until_it_is_answered_not_until_the_rejoin():
    marks = (
        Mark(1.0, "killed", "a"),
        Mark(1.5, "promoted", "b"),
        Mark(9.0, "rejoined", "a"),
    )
    assert effect(marks) == (1.0, 1.5)
    assert effect(()) is None
