"""Small worlds: the machinery, not the figures."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from authkit.cli import app
from authkit.errors import InvalidInput
from authkit.evaluation import Case, ceiling, collect, evaluate, fit, rba, reporting
from authkit.evaluation.evaluate import CEILING, ONE_SCORE
from authkit.workload import TAKEOVERS, World

END = datetime(2026, 11, 1, tzinfo=UTC)
SMALL = World(seed=5, users=160, days=90, end=END, attacks=250, activity=4)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return collect(SMALL)


@pytest.mark.slow
def test_every_class_of_attack_is_measured_with_the_ceiling_and_every_model(cases):
    found = evaluate([cases], resamples=3)
    assert set(found.measured) == set(TAKEOVERS)
    for models in found.measured.values():
        assert {"mismatch", "freeman2016", "hdir", CEILING, ONE_SCORE} <= set(models)
        for measured in models.values():
            assert 0 <= measured.auc <= 1
            low, high = measured.interval
            assert low <= high
    gap = found.gap_closed("naive", "mismatch")
    assert gap == pytest.approx(0)
    named = {one.name for one in reporting.figures(found, goals=True)}
    assert f"gap to the ceiling closed, targeted, {ONE_SCORE}" in named


def test_the_same_cases_give_the_same_evaluation(cases):
    def run() -> object:
        return evaluate([cases], supervised=False, resamples=3).measured

    assert run() == run()


def test_no_attack_and_no_future_is_in_any_evidence(cases):
    """A world without attacks has the same logins with the same evidence."""
    quiet = collect(World(seed=5, users=160, days=90, end=END, attacks=0, activity=4))
    assert quiet == [case for case in cases if not case.attack]
    half = [case for case in cases if case.at_us < cases[len(cases) // 2].at_us]
    assert half == cases[: len(half)]


def test_fitting_looks_at_legitimate_logins_alone(cases):
    some = cases[-600:]
    everything = fit(some)
    assert everything == fit([case for case in some if not case.attack])
    assert all(beta > 0 for beta in everything.values())


def test_worlds_of_different_attacks_are_not_averaged(cases):
    gone = next(case.kind for case in cases if case.attack)
    fewer = [case for case in cases if case.kind != gone]
    with pytest.raises(InvalidInput, match=f"a world has no case of {gone}"):
        evaluate([cases, fewer], supervised=False, resamples=1)


def test_a_world_that_says_nothing_is_refused(cases):
    with pytest.raises(InvalidInput, match="larger world"):
        evaluate([cases[:200]], supervised=False)


def csv_of(rows: list[str]) -> str:
    return "\n".join((",".join(rba.COLUMNS), *rows)) + "\n"


def row(
    number: int, user: str, ip: str, *, taken: bool = False, ok: bool = True
) -> str:
    at = (
        f"2020-02-{1 + number // 1440:02d} {number // 60 % 24:02d}:{number % 60:02d}:00"
    )
    return (
        f"{number},{at}.123,{user},,{ip},NO,-,-,41164,Mozilla/5.0,Chrome 79.0,"
        f"Mac OS X 10.14,desktop,{ok},False,{taken}"
    )


def published() -> list[str]:
    return [
        row(n, f"u{n % 7}", f"8.8.8.{n // 11}", taken=True)
        if n % 11 == 10
        else row(n, f"u{n % 7}", f"10.0.0.{n % 7}")
        for n in range(770)
    ]


def test_the_published_data_set_is_read_and_evaluated(tmp_path: Path):
    rows = published()
    rows += [row(800, "u1", "9.9.9.9", ok=False)]
    file = tmp_path / "rba.csv"
    file.write_text(csv_of(rows))
    cases = rba.read(file)
    assert len(cases) == 770
    assert sum(case.attack for case in cases) == 70
    target = tmp_path / "figures.json"
    words = f"risk evaluate --rba {file} --no-ceiling --resamples 2 --json {target}"
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    assert "the published data set" in result.output
    report = json.loads(target.read_text())
    assert report["synthetic"] is False
    found = {f["name"]: f["value"] for f in report["figures"]}
    assert found["AUC, account takeover, hdir"] == pytest.approx(1.0)
    shuffled = [rows[0], *rows[300:700], *rows[1:300]]
    file.write_text(csv_of(shuffled))
    with pytest.raises(InvalidInput, match="line 403 is older"):
        rba.read(file)
    file.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="not the published data set"):
        rba.read(file)


@pytest.mark.slow
def test_the_ceiling_learns_from_published_logins_though_their_hour_is_not_known(
    tmp_path: Path,
):
    file = tmp_path / "rba.csv"
    rows = published()
    file.write_text(csv_of(rows))
    known = [case for case in rba.read(file) if case.evidence.n > 0]
    made = ceiling.scores(known[:400], known[400:], {rba.TAKEOVER})
    attack = [case.attack for case in known[400:]]
    others = [not one for one in attack]
    assert made[attack].min() > made[others].mean()
    late = [
        one for n, one in enumerate(rows) if n > 470 or "True,False,True" not in one
    ]
    file.write_text(csv_of(late))
    with pytest.raises(InvalidInput, match="no attack to train the ceiling"):
        evaluate([rba.read(file)], resamples=2)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("1", "line 3 has no timestamp"),
        (row(1, "u1", "300.1.1.1"), "line 3 has an IP address that is none"),
        (row(1, "u1", "").replace("Chrome", "Chröme"), "no CSV file in UTF-8"),
        (row(1, "u1", "").replace("Chrome", "c" * 200_000), "no CSV file in UTF-8"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_not_left_out(
    tmp_path: Path, fault: str, told: str, request: pytest.FixtureRequest
):
    # It holds for the whole process, where others may have changed it.
    before = csv.field_size_limit(131_072)
    request.addfinalizer(lambda: csv.field_size_limit(before))
    file = tmp_path / "rba.csv"
    file.write_text(csv_of([row(0, "u0", "::ffff:10.0.0.1"), fault]), "latin-1")
    with pytest.raises(InvalidInput, match=told):
        rba.read(file)


def test_the_command_writes_the_figures_and_says_that_the_world_is_synthetic(
    tmp_path: Path,
):
    target = tmp_path / "figures.json"
    size = "--users 160 --days 90 --attacks 250 --activity 4 --no-ceiling"
    words = f"risk evaluate --world 5 {size} --resamples 2 --json {target}"
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    assert "synthetic worlds" in result.output
    assert "asked again, median, hdir" in result.output
    report = json.loads(target.read_text())
    assert report["command"] == "risk evaluate"
    assert report["synthetic"] is True
    assert any(f["name"] == "AUC, targeted, hdir" for f in report["figures"])


@pytest.mark.slow
def test_a_sweep_of_churn_is_reported_and_the_evaluation_is_drawn(tmp_path: Path):
    target, picture = tmp_path / "figures.json", tmp_path / "figures.svg"
    size = "--users 160 --days 90 --attacks 250 --activity 4 --no-ceiling --sweep 2"
    words = f"risk evaluate --world 5 {size} --resamples 2 --json {target}"
    result = CliRunner().invoke(app, [*words.split(), "--draw", str(picture)])
    assert result.exit_code == 0, result.output
    names = {f["name"] for f in json.loads(target.read_text())["figures"]}
    assert "AUC at 2 times the churn, very_targeted, hdir" in names
    assert "asked again, median" in picture.read_text()
