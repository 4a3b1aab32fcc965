"""A version's checkout and environment: its own, and gone whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from authkit.harness.gate import arms

GIT = shutil.which("git") or "git"
PROJECT = "[project]\nname = 'authkit'\nversion = '0'\ndependencies = ['psycopg%s']\n"


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    done = subprocess.run(
        [GIT, *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two versions that depend on different things."""
    root = tmp_path / "root"
    (root / "authkit" / "hot").mkdir(parents=True)
    (root / "authkit" / "hot" / "registry.py").touch()
    git(tmp_path, "init", "--quiet", str(root))
    for bound in ("", ">=3"):
        (root / "pyproject.toml").write_text(PROJECT % bound)
        git(root, "add", ".")
        git(root, "commit", "--quiet", "-m", "one version")
    return root


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def stopped(_number: int, _frame: object) -> None:
    sys.exit(143)


def test_who_is_stopped_while_git_checks_out_leaves_no_checkout(root: Path):
    # git runs it at the end of a checkout; it stays for as long as git does.
    stop = f"kill -TERM {os.getpid()}; while kill -0 $PPID; do :; done"
    program(root / ".git" / "hooks" / "post-checkout", stop)
    before = signal.signal(signal.SIGTERM, stopped)
    try:
        with pytest.raises(SystemExit), arms.tree_of(root, "HEAD", "head"):
            pytest.fail("it was not stopped")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(git(root, "worktree", "list").splitlines()) == 1
    assert list((root / ".git").glob("worktrees/*")) == []


def test_the_environment_of_another_version_is_never_the_one_that_ci_names(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program(
        tmp_path / "bin" / "uv", f'echo "$UV_PROJECT_ENVIRONMENT" > {tmp_path}/told'
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", sys.prefix)
    with arms.tree_of(root, "HEAD~1", "base") as tree:
        own = tree.root / ".venv"
        assert (tmp_path / "told").read_text().strip() == str(own)
        assert tree.python == str(own / "bin" / "python")


def asked_when_killed() -> None:
    tree = arms.Tree("head", Path(__file__).parents[2], sys.executable)
    with arms.Arm(tree, "postgresql://nowhere") as arm:
        os.kill(arm.pid, signal.SIGKILL)
        os.waitid(os.P_PID, arm.pid, os.WEXITED | os.WNOWAIT)
        arm.ask("count")


def test_a_process_that_was_killed_between_two_orders_is_a_version_that_failed():
    # Not a closed standard output, which is what a broken pipe means to a command.
    with pytest.raises(arms.ArmFailed):
        asked_when_killed()
