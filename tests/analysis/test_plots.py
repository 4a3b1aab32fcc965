from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import vl_convert

from authkit.analysis import plots, save
from authkit.analysis.picture import MAX_MARKS, Picture
from authkit.analysis.theme import DARK, LIGHT, OUTCOMES, Theme, theme
from authkit.errors import InvalidInput
from authkit.relational.chain import Broken, Fault, Head, Verification
from authkit.risk import MODELS, Histories, PastOnly, features
from authkit.workload import World
from authkit.workload.attempt import ATTACKS

END = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOOKS = ("light", "dark")
# What a mark is and how it is painted, without where it stands to the last digit.
MARK = re.compile(r'<path [^>]*?(?:fill|stroke)="(#\w+)')


def beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        name, Path(__file__).with_name(f"{name}.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


png = beside("png")


@pytest.fixture(scope="module")
def attempts() -> pd.DataFrame:
    """Attempts of a world, as `frames.attempts()` would return them, and scores."""
    scorer = PastOnly()
    rows = []
    for a in World(seed=4, users=400, days=14, end=END).attempts():
        score = scorer(
            at_us=a.at_us,
            user_id=a.user_id,
            ip=a.source.ip,
            asn=a.source.asn,
            country=a.source.country,
            user_agent=a.source.user_agent,
            completed=a.session_id is not None,
        )
        rows.append(
            {
                "occurred_at": a.at_us,
                "user": None if a.user_id is None else a.user_id.hex(),
                "address": a.source.ip,
                "network": a.source.ip.rpartition(".")[0] + ".0/24",
                "asn": a.source.asn,
                "country": a.source.country,
                "user_agent": a.source.user_agent,
                "device": a.source.device.hex(),
                "outcome": a.outcome,
                "attack": a.kind in ATTACKS,
                "score": None if score is None else score.value,
                "model": None if score is None else score.model,
                "version": None if score is None else score.version,
                "terms": None if score is None else score.as_features()["terms"],
            }
        )
    frame = pd.DataFrame(rows)
    frame["occurred_at"] = pd.to_datetime(frame["occurred_at"], unit="us", utc=True)
    return frame


@pytest.fixture(scope="module")
def audit() -> pd.DataFrame:
    hours = pd.date_range("2026-11-01", periods=300, freq="h", tz="UTC")
    return pd.DataFrame(
        {
            "at": hours,
            "actor": [f"user:{n % 7:032x}" for n in range(300)],
            "action": [("role.grant", "session.revoke")[n % 2] for n in range(300)],
            "target": [f"user:{n % 40:032x}" for n in range(300)],
            "outcome": ["denied" if n % 9 == 0 else "succeeded" for n in range(300)],
        }
    )


HEADS = (Head(0, 120, b"a" * 32), Head(3, 40, b"b" * 32), Head(9, 77, b"c" * 32))
HOLDS = Verification(237, HEADS, None)
BREAKS = Verification(177, HEADS[:2], Broken(9, 18, date(2026, 11, 1), Fault.EDITED))

REUSED = "token-reused"

# A primary that is killed after one second, and followed half a second later.
CALLS = pd.DataFrame(
    {
        "at_s": [n / 100 if n < 100 else 0.5 + n / 100 for n in range(300)],
        "ms": [500.0 if n == 100 else 1.0 + n % 7 for n in range(300)],
        "kind": [("read", "write")[n % 2] for n in range(300)],
        "acknowledged": [n != 100 for n in range(300)],
    }
)
MARKS = pd.DataFrame({"at_s": [1.0, 1.5], "what": ["killed", "promoted"]})
STATES = pd.DataFrame(
    [
        {"at_s": n / 10, "node": node, "state": after if n >= 12 else before}
        for n in range(30)
        for node, before, after in (
            ("one", "primary", "down"),
            ("two", "replica", "primary"),
        )
    ]
)
# Three families: one in use, one that its user ended, one of which a copy came back.
TOKENS = pd.DataFrame(
    {
        "created_at": pd.Timestamp("2026-11-20 08:00", tz="UTC")
        + pd.Timedelta(minutes=30) * generation
        + pd.Timedelta(minutes=7) * place,
        "family": f"0199{place:04d}-family-{name}",
        "kind": "refresh",
        "generation": generation,
        "rotated_at": pd.Timestamp("2026-11-20 08:30", tz="UTC")
        + pd.Timedelta(minutes=30) * generation
        + pd.Timedelta(minutes=7) * place
        if generation < last
        else pd.NaT,
        "revoked_at": pd.Timestamp("2026-11-20 12:00", tz="UTC") if ended else pd.NaT,
        "revoke_reason": ended,
    }
    for place, (name, last, ended) in enumerate(
        (("inuse001", 6, None), ("logout02", 3, "logout"), ("reused03", 4, REUSED))
    )
    for generation in range(last + 1)
)


@pytest.fixture(scope="module")
def drawn(attempts: pd.DataFrame, audit: pd.DataFrame):
    user = attempts["user"].value_counts().index[0]
    scored = attempts[attempts["score"] > 0.5].iloc[0]
    makers: dict[str, Callable[[str], Picture]] = {
        "attempts_over_time": lambda look: plots.attempts_over_time(
            attempts, look=look
        ),
        "weekday_hours": lambda look: plots.weekday_hours(
            attempts, tz="Europe/Oslo", look=look
        ),
        "risk_distribution": lambda look: plots.risk_distribution(attempts, look=look),
        "explanation": lambda look: plots.explanation(scored["terms"], look=look),
        "spray_matrix": lambda look: plots.spray_matrix(attempts, look=look),
        "user_timeline": lambda look: plots.user_timeline(
            attempts[attempts["user"] == user], look=look
        ),
        "audit_timeline": lambda look: plots.audit_timeline(audit, look=look),
        "audit_by_actor": lambda look: plots.audit_timeline(
            audit, lanes="actor", look=look
        ),
        "roc": lambda look: plots.score_curves(attempts, look=look),
        "det": lambda look: plots.score_curves(
            {"one": attempts, "other": attempts}, form="det", look=look
        ),
        "reauthentication": lambda look: plots.score_curves(
            attempts, form="reauthentication", look=look
        ),
        "travel_matrix": lambda look: plots.travel_matrix(
            attempts, within="72h", look=look
        ),
        "calls_over_time": lambda look: plots.calls_over_time(CALLS, MARKS, look=look),
        "nodes_over_time": lambda look: plots.nodes_over_time(STATES, MARKS, look=look),
        "session_families": lambda look: plots.session_families(TOKENS, look=look),
        "chain_that_holds": lambda look: plots.audit_chain(HOLDS, look=look),
        "chain_that_breaks": lambda look: plots.audit_chain(BREAKS, look=look),
    }
    return {(name, look): make(look) for name, make in makers.items() for look in LOOKS}


NAMES = (
    "attempts_over_time",
    "weekday_hours",
    "risk_distribution",
    "explanation",
    "spray_matrix",
    "user_timeline",
    "audit_timeline",
    "audit_by_actor",
    "roc",
    "det",
    "reauthentication",
    "travel_matrix",
    "calls_over_time",
    "nodes_over_time",
    "session_families",
    "chain_that_holds",
    "chain_that_breaks",
)
every_picture = pytest.mark.parametrize("name", NAMES)
every_look = pytest.mark.parametrize("look", LOOKS)


def test_an_explanation_has_room_for_what_lowers_the_score():
    terms = [
        {"level": "country", "term": -2.0, "seen": 9},
        {"level": "hour", "term": 5.0, "seen": 0},
        {"level": "activity", "term": -0.5, "seen": 1},
    ]
    chart, built = plots.explanation(terms)
    domain = chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert domain == [-2.0, 3.0]
    assert list(built["edge"]) == [0.0, 3.0, 3.0]


def test_a_score_is_drawn_as_its_terms_are():
    login = features("240.0.0.1", 64512, "NO", "curl/8.16.0")
    histories = Histories()
    histories.learn("a", 0, login)
    histories.learn("b", 1, features("241.0.0.1", 64513, "SE", None))
    score = MODELS["hdir"].score(login, histories.of("a", 2))
    kept: Any = score.as_features()["terms"]
    assert score.terms
    assert plots.explanation(score).frame.equals(plots.explanation(kept).frame)


def test_asking_again_costs_no_more_than_catching_the_last_attack_does():
    scores = pd.DataFrame({"score": range(10), "attack": [n > 6 for n in range(10)]})
    _, shown = plots.score_curves(scores, form="reauthentication")
    assert (shown["caught"].max(), shown["asked"].max()) == (1.0, 0.0)


def test_samples_that_say_the_same_become_one_bar():
    bars = plots.nodes_over_time(STATES, MARKS).frame
    assert bars.to_dict("records") == [
        {"node": "one", "state": "primary", "from_s": 0.0, "to_s": 1.2},
        {"node": "one", "state": "down", "from_s": 1.2, "to_s": 2.9},
        {"node": "two", "state": "replica", "from_s": 0.0, "to_s": 1.2},
        {"node": "two", "state": "primary", "from_s": 1.2, "to_s": 2.9},
    ]


@every_picture
@every_look
def test_a_picture_is_not_blank_and_has_the_look_that_was_asked_for(
    drawn, name: str, look: str
):
    image = drawn[name, look].png(scale=0.5)
    assert not png.is_blank(image)
    corner = png.pixels(image)[1, 1, :3]
    expected = theme(look).background
    assert "#" + "".join(f"{int(value):02X}" for value in corner) == expected


@every_picture
def test_a_picture_draws_the_same_with_the_vega_lite_that_jupyterlab_has(
    drawn, name: str
):
    bundle = drawn[name, "light"]._repr_mimebundle_()
    spec = bundle["application/vnd.vegalite.v5+json"]
    assert "/v5." in spec["$schema"]
    older = vl_convert.vegalite_to_svg(spec, vl_version="5.20")
    newer = bundle["image/svg+xml"]
    assert MARK.findall(older) == MARK.findall(newer) != []
    assert bundle["image/svg+xml"].startswith("<svg")
    json.dumps(spec)


def titles(spec: object) -> list[str]:
    """Return the titles of every axis in a specification."""
    found: list[str] = []
    if isinstance(spec, dict):
        for channel in ("x", "y"):
            encoding = spec.get("encoding", {}).get(channel)
            if encoding is not None and encoding.get("title"):
                found.append(encoding["title"])
        for value in spec.values():
            found += titles(value)
    elif isinstance(spec, list):
        for value in spec:
            found += titles(value)
    return found


@every_picture
def test_a_picture_has_a_title_a_subtitle_and_a_named_axis(drawn, name: str):
    spec = drawn[name, "light"].spec()
    assert spec["title"]["text"]
    assert spec["title"]["subtitle"]
    assert titles(spec)


@every_picture
def test_a_picture_comes_apart_into_chart_and_aggregated_rows(drawn, name: str):
    chart, frame = drawn[name, "light"]
    assert chart.to_dict()
    assert 0 < len(frame) <= MAX_MARKS


def test_counts_in_a_picture_add_up_to_the_frame(attempts: pd.DataFrame):
    _, over_time = plots.attempts_over_time(attempts)
    _, by_hour = plots.weekday_hours(attempts)
    _, risk = plots.risk_distribution(attempts)
    assert over_time["attempts"].sum() == by_hour["attempts"].sum() == len(attempts)
    assert risk["attempts"].sum() == attempts["score"].notna().sum()


def test_a_million_attempts_make_no_more_marks_than_allowed():
    count = 1_000_000
    frame = pd.DataFrame(
        {
            "occurred_at": pd.date_range("2020-01-01", "2026-01-01", count, tz="UTC"),
            "outcome": pd.Series(list(OUTCOMES)).sample(
                count, replace=True, random_state=1, ignore_index=True
            ),
        }
    )
    _, counted = plots.attempts_over_time(frame)
    assert counted["attempts"].sum() == count
    assert len(counted) <= MAX_MARKS


def test_a_busy_user_is_counted_in_bins(attempts: pd.DataFrame):
    busy = pd.concat([attempts.assign(user="bot")] * 3, ignore_index=True)
    busy["device"] = "d" * 64
    _, counted = plots.user_timeline(busy)
    assert counted["attempts"].sum() == len(busy)
    assert len(counted) <= MAX_MARKS


@pytest.mark.parametrize(
    "draw",
    [
        plots.attempts_over_time,
        plots.weekday_hours,
        plots.risk_distribution,
        plots.spray_matrix,
        plots.user_timeline,
    ],
)
def test_an_empty_window_is_a_picture_that_says_so(draw, attempts: pd.DataFrame):
    picture = draw(attempts.iloc[:0])
    assert "Nothing in this window." in picture.svg()
    assert picture.frame.empty


def test_an_empty_trail_is_a_picture_that_says_so(audit: pd.DataFrame):
    assert "Nothing in this window." in plots.audit_timeline(audit.iloc[:0]).svg()
    assert (
        "Nothing in this window." in plots.audit_chain(Verification(0, (), None)).svg()
    )


def test_a_frame_without_the_columns_is_named():
    with pytest.raises(InvalidInput, match="lacks outcome"):
        plots.attempts_over_time(pd.DataFrame({"occurred_at": []}))


def test_a_timeline_of_two_users_is_refused(attempts: pd.DataFrame):
    with pytest.raises(InvalidInput, match="one user"):
        plots.user_timeline(attempts[attempts["user"].notna()])


def test_scores_of_two_models_are_not_drawn_together(attempts: pd.DataFrame):
    mixed = attempts.copy()
    mixed.loc[mixed.index[::2], "model"] = "another"
    with pytest.raises(InvalidInput, match="do not compare"):
        plots.risk_distribution(mixed)


def test_an_unscored_attempt_has_no_explanation():
    with pytest.raises(InvalidInput, match="unscored"):
        plots.explanation([])


def test_spraying_shows_as_one_address_and_many_users(attempts: pd.DataFrame):
    spray = pd.DataFrame(
        {
            "occurred_at": pd.date_range("2026-11-20", periods=60, freq="s", tz="UTC"),
            "user": [f"u{n % 30}" for n in range(60)],
            "address": "240.9.9.9",
            "network": "240.9.9.0/24",
            "outcome": "failed",
        }
    )
    both = pd.concat([attempts, spray], ignore_index=True)
    _, cells = plots.spray_matrix(both, users=70, addresses=20)
    assert (cells["address"] == "240.9.9.9").sum() >= 8


@pytest.mark.parametrize("ending", ["png", "svg", "json"])
def test_a_picture_is_saved_as(drawn, tmp_path: Path, ending: str):
    target = save(drawn["explanation", "light"], tmp_path / f"picture.{ending}")
    assert target.stat().st_size > 1000


def test_a_saved_page_needs_no_network(drawn, tmp_path: Path):
    page = save(drawn["explanation", "light"], tmp_path / "picture.html").read_text()
    assert '<script src="http' not in page
    assert "cdn.jsdelivr.net/npm/vega@" not in page


def test_a_picture_is_not_saved_as_something_else(drawn, tmp_path: Path):
    with pytest.raises(InvalidInput, match="png"):
        save(drawn["explanation", "light"], tmp_path / "picture.gif")
    with pytest.raises(InvalidInput, match="cannot write"):
        save(drawn["explanation", "light"], tmp_path / "nowhere" / "picture.svg")


def test_an_unknown_look_is_named():
    with pytest.raises(InvalidInput, match="light, dark"):
        theme("sepia")  # type: ignore[arg-type] # a fault on purpose


# Linear RGB as a dichromat sees it (Vienot, Brettel and Mollon 1999; Brettel 1997 for
# tritanopia, in the one-plane form).
VISIONS = {
    "protan": ((0.1124, 0.8876, 0.0), (0.1124, 0.8876, 0.0), (0.004, -0.004, 1.0)),
    "deutan": ((0.2920, 0.7080, 0.0), (0.2920, 0.7080, 0.0), (-0.0223, 0.0223, 1.0)),
    "tritan": ((1.0, 0.1446, -0.1446), (0.0, 0.8592, 0.1408), (0.0, 0.8592, 0.1408)),
}


def seen(colour: str, vision: str) -> tuple[float, ...]:
    linear = [(int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
    mixed = [
        sum(weight * part for weight, part in zip(row, linear, strict=True))
        for row in VISIONS[vision]
    ]
    return tuple(max(value, 0.0) ** (1 / 2.2) for value in mixed)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.name)
def test_outcomes_differ_for_whoever_sees_fewer_colours(look: Theme, vision: str):
    colours = [seen(colour, vision) for colour in look.outcomes[:4]]
    for place, one in enumerate(colours):
        for other in colours[place + 1 :]:
            distance = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
            assert distance > 0.12
