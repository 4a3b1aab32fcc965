"""The house rules that a test can hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    "sqlalchemy",
    "psycopg",
    "pandas",
    "locust",
    "gevent",
    "pyarrow",
    "alembic",
    "pydantic",
    "typer",
)
# A file may be longer than the rest where splitting it would split one concept.
LINES = 330
LONGER: dict[str, str] = {}


def sources(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "_sync" not in path.parts and "__pycache__" not in path.parts
    )


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_the_package_loads_nothing_heavy_and_warns_of_nothing():
    code = f"import authkit, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    run = python("-W", "error", "-c", code)
    assert (run.returncode, run.stdout.strip()) == (0, "[]"), run.stderr


def test_every_public_name_loads():
    code = "import authkit; [getattr(authkit, name) for name in authkit.__all__]"
    run = python("-c", code)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", sources("authkit", "bench"), ids=lambda p: p.name)
def test_a_file_holds_one_concept_and_about_300_lines(path: Path):
    name = path.relative_to(ROOT).as_posix()
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES or name in LONGER, f"{name} has {lines} lines"


def test_no_file_has_a_name_that_says_nothing():
    vague = {"utils", "util", "base", "common", "helpers", "helper", "manager", "misc"}
    assert [p for p in sources("authkit", "bench") if p.stem in vague] == []


def test_migrations_never_become_a_package_that_hides_the_library():
    assert list((ROOT / "alembic").rglob("__init__.py")) == []


def test_no_test_waits_by_sleeping():
    # Greenlets of a simulated load may pace themselves: that waits for no condition.
    pattern = re.compile(r"\b(?:time|asyncio)\.sleep\(")
    found = [
        f"{path.name}:{number}"
        for path in sources("tests")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def test_every_suppressed_check_names_its_rule_and_its_reason():
    bare = re.compile(r"#\s*(?:type: ignore|pyright: ignore|noqa)(?P<rest>.*)$")
    found: list[str] = []
    for path in sources("authkit", "bench", "alembic"):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            match = bare.search(line)
            if match and not re.match(r"(?::\s*|\[)[\w, ]+\]?\s+#\s+\S", match["rest"]):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_the_files_that_begin_first_exist():
    named = re.findall(r'"(tests/\S+)"', (ROOT / "tests/conftest.py").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
