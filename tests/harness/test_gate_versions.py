"""The gate on versions of the code that differ for real: what fails, and for what."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from authkit.harness.gate import gating
from authkit.harness.gate.verdicts import Rule

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
GIT = shutil.which("git") or "git"
QUICK = Rule(teams=2, looks=(1, 3), limit_s=3)
DOOR = "    if lane.fits(connection):\n"
WORSE = (
    "    if operation.name == 'sessions.revoke':\n"
    "        connection.execute('SELECT 1')\n"
)
INDEX = "active_sessions_live_by_user_idx"


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    done = subprocess.run(
        [GIT, *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def change(path: Path, edit: Callable[[str], str]) -> None:
    text = path.read_text()
    changed = edit(text)
    assert changed != text
    path.write_text(changed)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose only commit, `base`, is the tree that is being tested."""
    root = tmp_path / "checkout"
    left_out = shutil.ignore_patterns("__pycache__", "results", "history")
    for name in ("authkit", "alembic", "bench"):
        shutil.copytree(ROOT / name, root / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", root)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "base")
    git(root, "tag", "base")
    monkeypatch.chdir(root)
    return root


def test_a_round_trip_more_and_a_dropped_index_fail_for_what_they_are(checkout: Path):
    change(
        checkout / "authkit" / "hot" / "_sync" / "statement.py",
        lambda text: text.replace(DOOR, WORSE + DOOR),
    )
    # With the index gone the schemas differ: each version has a database of its own.
    change(
        checkout / "alembic" / "sql" / "0002_hot.sql",
        lambda text: f"{text}\nDROP INDEX authkit.{INDEX};\n",
    )
    found = gating.run(
        "base",
        only=["sessions.extend", "sessions.list", "sessions.revoke"],
        client=False,
        rule=QUICK,
    )
    assert found.code == 1
    faults = {(one.operation, one.counter) for one in found.costs.faults}
    assert faults >= {
        ("sessions.revoke", "round_trips"),
        ("sessions.revoke", "statements"),
        ("sessions.list", "plan"),
    }
    assert "sessions.extend" not in {operation for operation, _ in faults}
    verdicts = {one.measured.benchmark: one.verdict.value for one in found.judgements}
    assert verdicts["sessions.revoke"] == "regression"
    assert verdicts["sessions.extend"] != "regression"
    assert any("differs from its commit" in note for note in found.notes)


def test_an_unrelated_change_passes_and_a_base_without_a_benchmark_is_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
):
    registry, every = checkout / "authkit" / "hot" / "registry.py", "op in OPERATIONS"
    without = f'{every} if op.name != "sessions.touch"'
    change(registry, lambda text: text.replace(every, without))
    git(checkout, "commit", "--quiet", "-a", "-m", "one operation less")
    change(
        checkout / "authkit" / "errors.py", lambda text: f"{text}\n\nUNRELATED = 1\n"
    )
    change(registry, lambda text: text.replace(without, every))
    # Where nothing can be pinned, both are told apart on one connection.
    monkeypatch.setattr(gating.comparing, "may_pin", lambda server: server < 0)
    found = gating.run(
        "HEAD",
        only=["sessions.validate", "sessions.touch"],
        client=False,
        rule=QUICK,
    )
    assert found.costs.faults == ()
    assert found.code != 1
    assert "sessions.touch: the base has no such operation: not timed" in found.notes
    (told,) = found.costs.differences
    assert str(told) == "sessions.touch: no budget yet"
    assert "no permission to pin: both versions on one connection" in found.notes
