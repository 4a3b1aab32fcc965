from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from authkit.analysis import Cases, entity, pivot, plots, sessionize
from authkit.analysis.detect import findings
from authkit.errors import AlreadyExists, InvalidInput, NotFound
from authkit.testing.plugin import Database
from authkit.workload.load import seed

END = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def cases(database: Database) -> Cases:
    seed(database.url, users=60, days=4, seed=2, end=END)
    return Cases(lambda: database.url, say=lambda said: None, now=lambda: END)


def test_people_have_other_names_in_another_case(cases: Cases):
    first = cases.open("first", "3d").attempts()
    second = cases.open("second", "3d").attempts()
    assert list(first["id"]) == list(second["id"])
    for column in ("user", "address", "device"):
        a, b = first[column], second[column]
        assert a.notna().sum() > 0
        assert set(a.dropna()).isdisjoint(b.dropna())
        assert a.dropna().groupby(b).nunique().max() == 1
    assert list(cases.list()["name"]) == ["first", "second"]
    assert {"subject", "session"}.isdisjoint(first.columns)


def test_everybody_of_the_window_has_a_pseudonym_and_nobody_their_own_name(
    cases: Cases,
):
    shown = cases.open("first", "3d").attempts()
    clear = cases.frames.clear.attempts("3d")
    assert (shown["user"].isna() == clear["user"].isna()).all()
    assert shown["user"].nunique() == clear["user"].nunique() > 0
    assert set(shown["user"].dropna()).isdisjoint(clear["user"].dropna())


def test_who_somebody_is_costs_an_entry_in_the_trail(cases: Cases, database: Database):
    case = cases.open("first", "3d")
    one = case.attempts().dropna(subset="user").iloc[0]
    clear = cases.frames.clear.attempts("3d").set_index("id")
    person = case.unmask(one["user"], reason="asked by the people's council")
    assert str(person) == clear.loc[one["id"], "user"]
    for reason, fault in (("x" * 501, "longer than 500"), ("a\0bc", "NUL")):
        with pytest.raises(InvalidInput, match=f"reason .*{fault}"):
            case.unmask(one["user"], reason=reason)
    with psycopg.connect(database.url) as connection:
        entries = connection.execute(
            "SELECT target, details ->> 'reason' FROM authkit.audit_logs"
            " WHERE action = 'case.unmask'"
        ).fetchall()
    assert entries == [(f"user:{person}", "asked by the people's council")]
    with pytest.raises(NotFound):
        case.unmask("0" * 32, reason="curious")
    with pytest.raises(InvalidInput, match="reason"):
        case.unmask(one["user"], reason=" ")


def test_a_case_shows_the_attacks_that_clear_frames_show(cases: Cases):
    shown = cases.open("first", "3d").attempts()
    known = cases.frames.clear.attempts("3d").drop(columns=["subject", "session"])
    same = ["detector", "first", "last", "attempts", "people", "addresses", "evidence"]
    here, there = findings(shown)[same], findings(known)[same]
    order = ["detector", "first", "last", "attempts", "addresses"]
    pd.testing.assert_frame_equal(
        here.sort_values(order, ignore_index=True),
        there.sort_values(order, ignore_index=True),
    )
    assert len(here) > 0


def test_whoever_is_erased_is_nobody_in_any_case(cases: Cases, database: Database):
    case = cases.open("first", "3d")
    before = case.attempts()
    one = before.dropna(subset="user").iloc[0]["user"]
    person = case.unmask(one, reason="they ask to be forgotten")
    with psycopg.connect(database.url) as connection:
        connection.execute(
            "UPDATE authkit.users SET erased_at = now(), disabled_at = now(),"
            " email = %s WHERE id = %s",
            (f"{person}@erased.invalid", person),
        )
    after = case.attempts()
    assert list(after["id"]) == list(before["id"])
    others = before["user"].where(before["user"] != one)
    assert after["user"].equals(others)
    with pytest.raises(NotFound):
        case.unmask(one, reason="who was it?")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT authkit.unmask(gen_random_uuid(), 'x', 'because')",
        "SELECT authkit.open_case('x', now() - interval '1 day', now())",
        "SELECT pseudonym FROM authkit.case_pseudonyms",
        "SELECT inner_key FROM authkit.cases",
        "INSERT INTO authkit.attempt_labels DEFAULT VALUES",
    ],
)
def test_an_analyst_can_not_tell_who_somebody_is(database: Database, statement: str):
    with psycopg.connect(database.url) as connection:
        connection.execute("SET ROLE authkit_analyst")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_labels_have_an_author_and_a_time_and_all_or_none_are_written(cases: Cases):
    case = cases.open("first", "3d")
    ids = list(case.attempts()["id"].head(2))
    assert case.label(ids, "takeover", note="another country within a minute") == 2
    labels = case.labels()
    assert list(labels["id"]) == sorted(ids)
    assert set(labels["label"]) == {"takeover"}
    assert labels["author"].notna().all()
    with pytest.raises(NotFound, match="1 are of this case"):
        case.label([ids[0], "00000000-0000-7000-8000-000000000000"], "takeover")
    with pytest.raises(InvalidInput, match="are ids"):
        case.label(["nonsense"], "takeover")
    for word in ("Not A Word", "", "x" * 64):
        with pytest.raises(InvalidInput, match="one lower-case word"):
            case.label(ids, word)
    for note, fault in (("", "is empty"), ("x" * 2001, "longer"), ("a\0b", "NUL")):
        with pytest.raises(InvalidInput, match=f"note .*{fault}"):
            case.label(ids, "takeover", note=note)
    assert len(case.labels()) == 2


def test_a_case_is_handed_over_as_a_folder_that_can_be_checked(
    cases: Cases, tmp_path: Path
):
    case = cases.open("first", "3d")
    frame = case.attempts()
    case.label(frame["id"].head(1), "takeover")
    folder = case.export(
        tmp_path / "handed" / "first",
        evidence={"attempts": frame},
        pictures={"over-time": plots.attempts_over_time(frame)},
    )
    with pytest.raises(InvalidInput, match="own labels"):
        case.export(tmp_path / "other", evidence={"labels": frame})
    assert not (tmp_path / "other").exists()
    told = json.loads((folder / "case.json").read_text())
    assert told["case"] == "first"
    assert told["frames"]["attempts"]["rows"] == len(frame)
    assert told["frames"]["labels"]["rows"] == 1
    for name, digest in told["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert set(told["sha256"]) == {
        "rows/attempts.csv",
        "rows/attempts.sql",
        "rows/labels.csv",
        "pictures/over-time.svg",
        "pictures/over-time.png",
    }
    with pytest.raises(InvalidInput, match="there already"):
        case.export(folder)
    with pytest.raises(InvalidInput, match="no name for a file"):
        case.export(tmp_path / "other", evidence={"../x": frame})


def test_what_cannot_be_a_case_is_one_sentence(cases: Cases):
    cases.open("first", "3d")
    with pytest.raises(AlreadyExists, match="named 'first'"):
        cases.open("first", "2d")
    with pytest.raises(InvalidInput, match="beginning"):
        cases.open("x", None)
    with pytest.raises(InvalidInput, match="future"):
        cases.open("x", "1d", END + timedelta(days=1))
    with pytest.raises(NotFound):
        cases.get("absent")


def test_an_entity_is_all_that_has_to_do_with_it(seeded):
    frame = seeded.frames().attempts(since=None)
    busiest = pivot(frame, "address").iloc[0]
    found = entity(frame, "address", busiest["address"])
    summary = found.summary()
    assert summary["attempts"] == busiest["attempts"] == len(found.rows)
    assert summary["user"] == busiest["users"] == len(found.pivot("user"))
    assert busiest["wrong"] + busiest["succeeded"] <= busiest["attempts"]
    assert f"address {busiest['address']}" in found._repr_html_()
    with pytest.raises(NotFound):
        entity(frame, "user", "nobody")
    with pytest.raises(InvalidInput):
        entity(frame, "name", "x")  # type: ignore[arg-type] # on purpose


def test_visits_are_runs_without_a_long_pause(seeded):
    frame = seeded.frames().attempts(since=None)
    visits = sessionize(frame, gap=timedelta(minutes=30))
    assert visits["attempts"].sum() == frame["user"].notna().sum()
    ordered = visits.sort_values(["user", "first"])
    pause = ordered["first"] - ordered.groupby("user")["last"].shift()
    assert (pause.dropna() > timedelta(minutes=30)).all()
    visit = visits.groupby("user")["visit"]
    assert (visit.max() == visit.size()).all()
    with pytest.raises(InvalidInput):
        sessionize(frame, gap=timedelta(0))
