"""`.ci/trend` run as CI runs it, with a repository of its own for `origin`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
GIT = shutil.which("git") or "git"
BRANCH = "bench-history"


def git(at: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    done = subprocess.run(
        [GIT, *who, *arguments], cwd=at, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone two versions deep of the tree that is tested, as CI makes it."""
    first, at = tmp_path / "first", tmp_path / "checkout"
    left_out = shutil.ignore_patterns("__pycache__", "results", "history")
    for name in ("authkit", "alembic", "bench", ".ci"):
        shutil.copytree(ROOT / name, first / name, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, first)
    git(first, "init", "--quiet", "--initial-branch=main")
    git(first, "add", ".")
    git(first, "commit", "--quiet", "-m", "one version")
    git(first, "commit", "--quiet", "--allow-empty", "-m", "the next")
    git(tmp_path, "clone", "--quiet", "--bare", str(first), "origin.git")
    origin = (tmp_path / "origin.git").as_uri()
    git(tmp_path, "clone", "--quiet", "--depth=2", origin, str(at))
    git(at, "checkout", "--quiet", "--detach")
    return at


def run(checkout: Path, *arguments: str) -> str:
    scratch = checkout.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    done = subprocess.run(
        [checkout / ".ci" / "trend", "--exact", "--no-instructions", *arguments],
        env={
            **os.environ,
            "GITHUB_ACTIONS": "true",
            "TMPDIR": str(scratch),
            "UV_PROJECT_ENVIRONMENT": sys.prefix,
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(git(checkout, "worktree", "list").splitlines()) == 1
    assert [path.name for path in scratch.glob("tmp.*")] == []
    return done.stdout


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
def test_a_version_is_one_line_more_of_the_branch_and_a_run_that_failed_is_none(
    checkout: Path,
):
    branch = f"refs/heads/{BRANCH}"
    assert "::warning::there is no history yet" in run(checkout, "--nonesuch")
    assert git(checkout, "ls-remote", "origin", branch) == ""

    assert "sessions.list blocks" in run(checkout, "-k", "sessions.list")
    git(checkout, "fetch", "--quiet", "origin", branch)
    pushed = git(checkout, "rev-parse", "FETCH_HEAD")
    assert git(checkout, "ls-tree", "--name-only", pushed).splitlines() == [
        "bench gate.jsonl",
        "trend.html",
    ]
    lines = git(checkout, "show", f"{pushed}:bench gate.jsonl").splitlines()
    assert [git(checkout, "rev-parse", "HEAD")[:12] in line for line in lines] == [True]

    assert "::warning::the history is as it was" in run(checkout, "--nonesuch")
    assert git(checkout, "ls-remote", "origin", branch).split()[0] == pushed
