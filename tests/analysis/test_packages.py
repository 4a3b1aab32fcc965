from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads(
    (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
)["project"]


def needed(lines: list[str]) -> set[str]:
    """Every package that some requirements bring along."""
    seen: set[tuple[str, str]] = set()
    waiting = [(line, "") for line in lines]
    while waiting:
        line, extra = waiting.pop()
        found = Requirement(line)
        if found.marker is not None and not found.marker.evaluate({"extra": extra}):
            continue
        for chosen in ("", *found.extras):
            if (found.name, chosen) not in seen:
                seen.add((found.name, chosen))
                waiting += [(each, chosen) for each in requires(found.name) or ()]
    return {canonicalize_name(name) for name, _ in seen}


def test_the_extra_notebook_brings_few_packages_beside_jupyterlab():
    extra = PROJECT["optional-dependencies"]["notebook"]
    without = [line for line in extra if not line.startswith("jupyterlab")]
    brought = needed(without) - needed(PROJECT["dependencies"])
    assert len(brought) <= 40, sorted(brought)


@pytest.mark.parametrize("room", ["authkit", "authkit.analysis"])
def test_an_import_loads_nothing_large(room: str):
    told = subprocess.run(
        [sys.executable, "-c", f"import {room}, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(told.stdout.split())
    assert not loaded & {"pandas", "pyarrow", "altair", "itables", "great_tables"}
