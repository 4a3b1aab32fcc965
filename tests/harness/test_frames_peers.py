"""The ways from attempts to pandas: the same rows in each, and who cannot run."""

from __future__ import annotations

import builtins

import pytest

from authkit.harness.peers import frames
from authkit.workload.load import seed


def test_every_arm_reads_the_same_attempts(database):
    seed(database.url, users=20, days=2, seed=1)
    arms, missing = frames.opened(database.url)
    assert missing == []
    assert list(arms) == [
        frames.BARE,
        frames.OURS,
        frames.COPY,
        frames.ROWS,
        frames.READ_SQL,
    ]
    read = {name: arm() for name, arm in arms.items()}
    ids = {name: sorted(map(str, found["id"])) for name, found in read.items()}
    assert ids[frames.BARE]
    assert all(found == ids[frames.BARE] for found in ids.values())
    two = (frames.BARE, frames.OURS)
    some, _ = frames.opened(database.url, two, columns=("id", "user"), masked=True)
    few = {name: arm() for name, arm in some.items()}
    assert tuple(few) == two
    assert all(list(found.columns) == ["id", "user"] for found in few.values())
    assert few[frames.OURS]["user"].dropna().str.fullmatch("[0-9a-f]{32}").all()


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.startswith("sqlalchemy"):
            raise ModuleNotFoundError("none", name="sqlalchemy")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    arms, missing = frames.opened("postgresql://nobody@localhost/none")
    monkeypatch.undo()
    assert frames.READ_SQL not in arms
    (told,) = missing
    assert told.missing == "sqlalchemy is not installed"
    row = frames.Row("a", 1.0, 2.0, (1.5, 2.5))
    table = frames.markdown([row, told], 10)
    assert "| a | 1.000 | 2.00 | 1.50 to 2.50 |" in table
    assert "missing: sqlalchemy is not installed" in table
    assert frames.figures([told], 10)[1].value is None
