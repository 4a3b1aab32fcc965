from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authkit.analysis.detect import (
    RULES,
    Rule,
    detect,
    findings,
    impossible_travel,
)
from authkit.errors import InvalidInput

START = pd.Timestamp("2026-11-20", tz="UTC").as_unit("us")


def frame(rows: list[tuple[float, str, str, str]]) -> pd.DataFrame:
    """Attempts from (minute, user, address, outcome)."""
    return pd.DataFrame(
        {
            "id": [f"a{n}" for n in range(len(rows))],
            "occurred_at": [START + timedelta(minutes=row[0]) for row in rows],
            "user": [row[1] for row in rows],
            "address": [row[2] for row in rows],
            "outcome": [row[3] for row in rows],
            "method": ["password"] * len(rows),
        }
    )


def labelled(seeded) -> pd.DataFrame:
    return pd.DataFrame(
        seeded.fetch(
            "SELECT attempt_id::text, kind, campaign FROM authkit_world.labels"
        ),
        columns=["id", "kind", "campaign"],
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("brute_force", "brute_force"),
        ("credential_stuffing", "credential_stuffing"),
        ("password_spray", "password_spraying"),
    ],
)
def test_what_a_detector_finds_is_what_the_world_planted(seeded, name: str, kind: str):
    attempts = seeded.frames().attempts(since=None)
    labels = labelled(seeded).set_index("id")["kind"]
    found = detect(attempts, name)
    evidence = labels.reindex([one for ids in found["evidence"] for one in ids])
    if len(found):
        assert evidence.notna().all()
    assert {"medium", "high"} >= set(found["severity"])
    planted = set(labels[labels == kind].index) & set(attempts["id"])
    assert not planted or len(found) == 0 or (evidence == kind).any()


def test_masked_and_clear_frames_give_the_same_findings(seeded):
    masked = findings(seeded.frames().attempts(since=None))
    clear = findings(seeded.frames(masked=False).attempts(since=None))
    same = ["detector", "first", "last", "attempts", "people", "addresses", "evidence"]
    assert len(masked) > 0
    pd.testing.assert_frame_equal(masked[same], clear[same])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from("abc"), st.sampled_from("xy")),
        max_size=40,
    )
)
def test_a_rule_finds_what_looking_at_every_window_finds(
    tries: list[tuple[int, str, str]],
):
    rule = Rule(
        "model",
        "T0",
        ("address",),
        timedelta(minutes=5),
        attempts=4,
        people=2,
        fewest_each=2,
        most_each=3,
    )
    made = frame([(m, u, a, "failed") for m, u, a in sorted(tries)])
    expected: set[str] = set()
    for _, rows in made.groupby("address"):
        part = rows.sort_values(["occurred_at", "id"]).reset_index(drop=True)
        for at in range(len(part)):
            begin = part["occurred_at"][at] - rule.window
            inside = part.iloc[: at + 1]
            inside = inside[inside["occurred_at"] >= begin]
            each = inside["user"].value_counts()
            if len(inside) >= 4 and (each >= 2).sum() >= 2 and each.max() <= 3:
                expected |= set(inside["id"])
    found = detect(made, rule)
    got = [one for ids in found["evidence"] for one in ids]
    assert expected <= set(got)
    assert len(got) == len(set(got))
    assert not expected or len(found) > 0
    assert bool(expected) == bool(len(found))


def test_a_password_that_was_found_makes_it_high():
    tries = [(n / 10, "u", "x", "failed") for n in range(12)]
    quiet = detect(frame(tries), "brute_force")
    assert (list(quiet["severity"]), list(quiet["user"])) == (["medium"], ["u"])
    entered = detect(frame([*tries, (2.0, "u", "x", "succeeded")]), "brute_force")
    assert (list(entered["severity"]), list(entered["entered"])) == (["high"], [1])
    assert len(entered["evidence"][0]) == 13


def test_nothing_found_is_a_typed_empty_frame():
    some = detect(
        frame([(n / 10, "u", "x", "failed") for n in range(12)]), "brute_force"
    )
    none = detect(frame([(0.0, "u", "x", "failed")]), "brute_force")
    assert len(none) == 0
    assert none.dtypes.equals(some.dtypes)


def test_nobody_is_in_two_countries_at_once():
    rows = frame([(0, "u", "x", "succeeded"), (60, "u", "y", "succeeded")])
    rows["country"] = ["NO", "JP"]
    places = {"NO": (59.9, 10.8), "JP": (35.7, 139.7)}
    found = impossible_travel(rows, places=places)
    assert list(found["evidence"]) == [["a0", "a1"]]
    assert found["km"].iloc[0] == pytest.approx(8400, rel=0.02)
    slow = impossible_travel(rows, places=places, km_per_hour=9000)
    assert len(slow) == 0
    unplaced = impossible_travel(rows, places={"NO": (59.9, 10.8)})
    assert (len(unplaced), unplaced.attrs["unplaced"]) == (0, ["JP"])
    other = rows.assign(user=["u", "v"])
    assert len(impossible_travel(other, places=places)) == 0
    assert len(impossible_travel(rows.head(0), places=places)) == 0


def test_what_is_no_rule_is_one_sentence():
    with pytest.raises(InvalidInput, match="none of"):
        detect(frame([]), "magic")
    with pytest.raises(InvalidInput, match="positive"):
        replace(RULES["brute_force"], attempts=0)
    with pytest.raises(InvalidInput, match="lacks"):
        detect(pd.DataFrame({"id": []}), "brute_force")
    with pytest.raises(InvalidInput, match="no rule"):
        findings(frame([]), ())
