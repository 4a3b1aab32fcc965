"""Versions of the code: a checkout each, an environment each, a process each."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, cast

from authkit.errors import AuthkitError, InvalidInput

WORKER: Final = Path(__file__).with_name("worker.py")
HEAD: Final = "working tree"
_LOCK: Final = "uv.lock"
_ENVIRONMENT_S: Final = 600


class ArmFailed(AuthkitError):
    """A version of the code could not do the work; the message says what it said."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One version: its checkout, and the interpreter that has what it depends on."""

    name: str
    root: Path
    python: str


def repository(start: Path | None = None) -> Path:
    """Return the root of the checkout that we stand in.

    Raises:
        InvalidInput: there is none.
    """
    found = _run(start or Path.cwd(), "git", "rev-parse", "--show-toplevel")
    if found.returncode:
        # git may be absent, or not trust whose folder it is.
        said = found.stderr.strip().partition("\n")[0].removeprefix("fatal: ")
        raise InvalidInput(f"this is no git checkout: nothing can be compared ({said})")
    return Path(found.stdout.strip())


@contextmanager
def tree_of(root: Path, revision: str | None, name: str) -> Generator[Tree]:
    """Check a revision out, for the length of a block; None is the tree as it is.

    Raises:
        InvalidInput: there is no such revision, or it has no registry of operations.
        ArmFailed: what it depends on could not be installed.
    """
    if revision is None:
        yield Tree(name, root, sys.executable)
        return
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None:
        shallow = _git(root, "rev-parse", "--is-shallow-repository") == "true"
        why = ": the clone is shallow (git fetch --unshallow)" if shallow else ""
        raise InvalidInput(f"there is no revision {revision!r} here{why}")
    with tempfile.TemporaryDirectory(prefix="authkit-arm-") as folder:
        at = Path(folder) / "tree"
        try:
            added = _run(root, "git", "worktree", "add", "--detach", str(at), commit)
            if added.returncode:
                raise ArmFailed(f"git worktree: {_last(added.stderr)}")
            if not (at / "authkit" / "hot" / "registry.py").exists():
                raise InvalidInput(f"{revision} has no registry of operations")
            yield Tree(name, at, _interpreter(root, at))
        finally:
            # One that was half made when we were stopped is none that git would remove,
            # and locked: what is gone it forgets.
            shutil.rmtree(at, ignore_errors=True)
            _run(root, "git", "worktree", "remove", "--force", "--force", str(at))


def is_dirty(root: Path) -> bool:
    """Tell whether the tree differs from its commit in what is measured."""
    changed = _git(root, "status", "--porcelain", "--", "authkit", "bench", "alembic")
    return bool(changed)


def commit_of(root: Path, revision: str | None) -> str:
    """Return the short commit of a revision, with a mark when the tree is dirty."""
    commit = _git(root, "rev-parse", "--short=12", revision or "HEAD") or "unknown"
    return commit + ("+changes" if revision is None and is_dirty(root) else "")


def _interpreter(root: Path, at: Path) -> str:
    # A lock that only one of them has says nothing of the difference.
    locked = all((tree / _LOCK).exists() for tree in (root, at))
    if dependencies(root, locked=locked) == dependencies(at, locked=locked):
        return sys.executable
    # Where CI names one folder for the environment, it is the head's.
    own = at / ".venv"
    made = _run(
        at,
        *("uv", "sync", "--quiet", "--extra", "lab", "--no-dev"),
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(own)},
    )
    if made.returncode:
        raise ArmFailed(
            f"its dependencies differ and uv could not install them: "
            f"{_last(made.stderr)}"
        )
    return str(own / "bin" / "python")


def dependencies(root: Path, *, locked: bool) -> Mapping[str, str]:
    """Return what a version's core depends on: as asked for, or also as locked."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    asked = cast("Sequence[str]", project["project"].get("dependencies", ()))
    found = {_plain(one): one for one in asked}
    if locked:
        lock = root / _LOCK
        packages = tomllib.loads(lock.read_text(encoding="utf-8")).get("package", ())
        for package in cast("Sequence[Mapping[str, Any]]", packages):
            name = str(package["name"])
            if name in found or name.startswith("psycopg"):
                found[f"{name} locked"] = str(package.get("version", ""))
    return found


def _plain(requirement: str) -> str:
    end = next(
        (
            at
            for at, char in enumerate(requirement)
            if not (char.isalnum() or char in "-_.")
        ),
        len(requirement),
    )
    return requirement[:end].lower()


class Arm:
    """A process that has one version's code, and obeys. Close it, or use it as a block.

    `backend` is the server's process of its connection, once it is open. With `hosts`
    it has no process of its own but is the next version in that of the first of them,
    on that one's connection.
    """

    def __init__(
        self,
        tree: Tree,
        url: str,
        under: Sequence[str] = (),
        hosts: Sequence[Arm] = (),
    ) -> None:
        self.tree = tree
        self.url = url
        self.operations: tuple[str, ...] = ()
        self.backend = 0
        self.postgres = ""
        self._guest, self._version = bool(hosts), len(hosts)
        self._process = hosts[0]._process if hosts else _started(tree, under)

    @property
    def pid(self) -> int:
        """The process of the client."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not self._guest:
            # Whatever it was in the middle of, nobody waits for.
            self._process.terminate()
        self.close()

    def open(self, *, end: str, lap: int = 0) -> None:
        """Connect to the prepared database; wait for it with `opened`.

        Of the arms that share a database each has a lap of its own: it draws what the
        others do not.
        """
        self._tell("open", url=self.url, root=str(self.tree.root), end=end, lap=lap)

    def opened(self) -> None:
        """Wait until it is open.

        Raises:
            ArmFailed: it could not connect.
        """
        said = self._answer("open", {})
        self.operations = tuple(said["operations"])
        self.backend = int(said["backend"])
        self.postgres = str(said["postgres"])

    def ask(self, do: str, **order: object) -> dict[str, Any]:
        """Give one order and wait for the answer.

        Raises:
            ArmFailed: the version could not do it.
        """
        self._tell(do, **order)
        return self._answer(do, order)

    def _tell(self, do: str, **order: object) -> None:
        if self._process.stdin is None:
            raise ArmFailed(f"{self.tree.name}: its process has no pipes")
        try:
            whole = {"do": do, "version": self._version, **order}
            self._process.stdin.write(json.dumps(whole) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as exc:
            raise ArmFailed(f"{self.tree.name}: its process ended") from exc

    def _answer(self, do: str, order: Mapping[str, object]) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise ArmFailed(f"{self.tree.name}: its process ended")
        try:
            answer = cast("dict[str, Any]", json.loads(line))
        except ValueError as exc:
            raise ArmFailed(f"{self.tree.name}: its process ended in a word") from exc
        if "fault" in answer:
            about = f" of {order['operation']}" if "operation" in order else ""
            raise ArmFailed(f"{self.tree.name}: {do}{about}: {answer['fault']}")
        return answer

    def close(self) -> None:
        """End the process, if it is its own."""
        if self._guest:
            return
        if self._process.stdin is not None:
            # What a process that ended has not read would be said once more.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _started(tree: Tree, under: Sequence[str]) -> subprocess.Popen[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATABASE_", "AUTHKIT_", "PYTHON"))
    }
    return subprocess.Popen(
        [*under, tree.python, str(WORKER)],
        env={**environment, "PYTHONPATH": str(tree.root), "PYTHONHASHSEED": "0"},
        cwd=tree.root,
        # Ctrl-C is for us, who then end it. Not a session: see `comparing.settled`.
        process_group=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _run(
    cwd: Path, *command: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=_ENVIRONMENT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {exc}")


def _git(cwd: Path, *arguments: str) -> str | None:
    done = _run(cwd, "git", *arguments)
    return done.stdout.strip() if done.returncode == 0 else None


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"
