from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_benchmark_suite_runs_by_itself():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "bench", "-q", "--benchmark-disable"],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("DATABASE_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "skipped" not in run.stdout
