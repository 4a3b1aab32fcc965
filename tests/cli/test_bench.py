"""`authkit bench`: what is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from authkit.cli import app
from authkit.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gate", "nonesuch"), "no revision 'nonesuch'"),
        (("compare", "nonesuch"), "no revision 'nonesuch'"),
        (("budgets", "--base", "nonesuch"), "no revision 'nonesuch'"),
        (("budgets", "--update", "-k", "sessions.list"), "updated whole"),
        (("inject", "--slow", "much"), "'much' is no share"),
        (("inject", "--slow", "0%"), "more than nothing"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)
    done = RUNNER.invoke(app, ["bench", *arguments])
    assert isinstance(done.exception, InvalidInput)
    assert says in str(done.exception)


def test_outside_a_checkout_nothing_can_be_compared(no_env: None, tmp_path: Path):
    done = RUNNER.invoke(app, ["bench", "budgets"])
    assert isinstance(done.exception, InvalidInput)
    assert "no git checkout" in str(done.exception)


def test_the_sheet_of_goals_outside_a_clone_says_where_they_are(no_env: None):
    done = RUNNER.invoke(app, ["bench", "results"])
    assert isinstance(done.exception, InvalidInput)
    assert "in a clone of its repository" in str(done.exception)


def test_without_git_the_reason_is_that(
    no_env: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = RUNNER.invoke(app, ["bench", "budgets"])
    assert isinstance(done.exception, InvalidInput)
    assert "No such file or directory: 'git'" in str(done.exception)
