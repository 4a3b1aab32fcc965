from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from authkit.cli.extras import extra_of

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return target


def test_the_wheel_carries_the_migrations_inside_the_package(built: Path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    revisions = {p.name for p in (ROOT / "alembic" / "versions").glob("*.py")}
    assert revisions
    assert {f"authkit/migrations/versions/{name}" for name in revisions} <= names
    assert {"authkit/migrations/env.py", "authkit/migrations/script.py.mako"} <= names


def test_the_wheel_has_one_top_level_package_only(built: Path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"authkit"}


def test_the_wheel_carries_every_file_that_is_not_code(built: Path):
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "authkit").rglob("*")
        if path.is_file()
        and path.suffix not in {".py", ".pyc"}
        and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        assert data <= set(wheel.namelist())


def test_the_source_distribution_holds_tests_and_migrations(built: Path):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"alembic/env.py", "tests/test_packaging.py", "README.md"} <= names


# Imported, and not asked for by name.
BROUGHT = {
    "markupsafe": "jinja2 is built on it",
    "psycopg_pool": "psycopg[pool]",
    "pydantic": "pydantic-settings is built on it",
    "hasql": "a peer: measured where it is installed",
}


def test_every_library_that_is_imported_is_asked_for():
    # What another library happens to bring along is gone with its next release.
    made = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = made["project"]
    asked = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        asked += extra
    names = {re.split(r"[^\w.-]", line)[0].replace("_", "-").lower() for line in asked}
    statement = re.compile(r"^ *(?:import|from) (\w+)(?:[\w.]* import )?", re.MULTILINE)
    found: set[str] = set()
    for path in (ROOT / "authkit").rglob("*.py"):
        found.update(statement.findall(path.read_text(encoding="utf-8")))
    given = packages_distributions()
    assert {"psycopg", "typer"} <= found
    unasked = {
        name
        for name in (found & set(given)) - {"authkit"} - set(BROUGHT)
        if not {dist.replace("_", "-").lower() for dist in given[name]} & names
    }
    assert unasked == set()


@pytest.mark.parametrize(
    ("command", "library", "extra"),
    [
        (["bench", "aa"], "numpy", "bench"),
        (["load"], "locust", "bench"),
        (["demo"], "locust", "bench"),
        (["notebook"], "jupyterlab", "notebook"),
    ],
)
def test_a_command_whose_extra_is_absent_says_which_one_brings_the_library(
    command: list[str], library: str, extra: str
):
    # None in sys.modules is how Python says that a module cannot be had.
    code = (
        f"import sys; sys.modules[{library!r}] = None;"
        f"sys.argv = ['authkit', *{command}];"
        "from authkit.cli import main; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr.strip()) == (
        2,
        f"authkit: {library} is not installed: pip install 'authkit[{extra}]'",
    )


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("adbc_driver_postgresql.dbapi", "notebook"),
        ("great_tables", "notebook"),
        ("hdrh", "bench"),
        ("opentelemetry", "ops"),
        ("patroni", "patroni"),
        ("sklearn.ensemble", "bench"),
        ("no_library_of_ours", "all"),
    ],
)
def test_an_extra_is_found_by_the_name_that_is_imported(module: str, extra: str):
    assert extra_of(module) == extra
