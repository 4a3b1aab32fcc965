"""SQLAlchemy's own suite for dialects passes over the cluster's engines as over stock.

By default without the largest class of it, which reads the catalogue in hundreds of
ways. All of it:

    AUTHKIT_DIALECT_SUITE=all pytest -n 0 -m slow tests/relational/test_dialect.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import psycopg
import pytest

from authkit.ids import uuid7

SUITE = Path(__file__).parent / "dialect_suite"
ROOT = Path(__file__).resolve().parents[2]
ALL = os.environ.get("AUTHKIT_DIALECT_SUITE") == "all"
SUBSET = "not ComponentReflectionTest and not BizarroCharacter"
AT_LEAST = 800 if ALL else 400


def start(pair, engines: str, report: Path) -> tuple[str, subprocess.Popen[str]]:
    name = f"dialect_{engines}_{uuid7().hex}"
    pair.create_database(name)
    url = pair.url(database=name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA test_schema")
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini"),
        *("-p", "plugin", "suite.py", f"--junitxml={report}"),
        *("--dburi", url.replace("postgresql://", "postgresql+psycopg://")),
        *(() if ALL else ("-k", SUBSET)),
    ]
    path = os.pathsep.join((str(SUITE), str(ROOT)))
    environment = {**os.environ, "AUTHKIT_ENGINES": engines, "PYTHONPATH": path}
    process = subprocess.Popen(
        command,
        cwd=SUITE,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return name, process


def passed(report: Path) -> set[str]:
    unwell = {"failure", "error", "skipped"}
    return {
        f"{case.get('classname')}::{case.get('name')}"
        for case in ET.parse(report).iter("testcase")  # noqa: S314 # our own file
        if not any(part.tag in unwell for part in case)
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_dialect_suite_passes_over_the_clusters_engines_as_over_stock(
    pair, tmp_path: Path
):
    reports = {name: tmp_path / f"{name}.xml" for name in ("stock", "cluster")}
    running = {name: start(pair, name, reports[name]) for name in reports}
    said = {}
    for name, (database, process) in running.items():
        said[name], _ = process.communicate(timeout=500)
        pair.drop_database(database)
    for name, report in reports.items():
        assert report.exists(), said[name][-3000:]
    stock, ours = passed(reports["stock"]), passed(reports["cluster"])
    # What fails over both is the suite's own: without requirements of its authors it
    # runs tests that PostgreSQL is known to fail.
    assert len(stock) >= AT_LEAST, said["stock"][-3000:]
    assert sorted(stock - ours) == []
