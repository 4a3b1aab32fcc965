"""From nothing to the first explained takeover: install, start, fill, find, explain.

python bench/first_answer.py --json FILE

What is downloaded is not counted: `uv` takes it from its cache after the first time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from authkit.figures import Report, figure

ROOT = Path(__file__).resolve().parents[1]
ANSWER = """
import authkit
from authkit import lab
from authkit.analysis import plots, save
from authkit.ops.migrate import upgrade
from authkit.risk import PastOnly
from authkit.settings import Settings
from authkit.workload.load import seed

with lab.cluster(replicas=1) as house:
    upgrade(house.url())
    seed(house.url(), users=1500, days=14, seed=1, score=PastOnly())
    house.wait_replayed()
    import os
    os.environ.update(house.env())
    with authkit.connect(Settings.load(env_file=None)) as kit:
        world = kit.frames.query("SELECT attempt_id::text AS id, kind FROM"
                                 " authkit_world.labels")
        scores = kit.frames.clear.scores(since=None).merge(world, on="id")
        taken = scores[(scores["outcome"] == "succeeded") & scores["score"].notna()]
        worst = taken.sort_values("score").iloc[-1]
        save(plots.explanation(worst["terms"]), "takeover.svg")
        print(worst["kind"], round(float(worst["score"]), 2))
"""


def main() -> None:
    """Measure once, in a folder of its own that is removed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE")
    asked = parser.parse_args()
    started, began = datetime.now(UTC), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        python = room / "venv" / "bin" / "python"
        clean = {name: text for name, text in os.environ.items() if "URL" not in name}
        clean["VIRTUAL_ENV"] = str(room / "venv")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        for command in (
            ["uv", "venv", "-q", "-p", version, str(room / "venv")],
            ["uv", "pip", "install", "-q", f"{ROOT}[notebook,lab]"],
        ):
            subprocess.run(command, check=True, cwd=room, env=clean)
        installed = time.perf_counter()
        told = subprocess.run(
            [str(python), "-c", ANSWER],
            check=True,
            cwd=room,
            env=clean,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.strip()
        ended = time.perf_counter()
        if "<svg" not in (room / "takeover.svg").read_text(encoding="utf-8"):
            raise SystemExit("the explanation is no picture")
    report = Report(
        "bench first_answer",
        started,
        ended - began,
        (
            figure("install", round(installed - began, 1), "s"),
            figure("to the explanation", round(ended - installed, 1), "s"),
            figure(
                "fresh install to it", round(ended - began, 1), "s", goal=("<=", 60)
            ),
        ),
        extra={"found": told},
    )
    for one in report.figures:
        sys.stdout.write(f"{one.name:22} {one.value} {one.unit} {one.goal or ''}\n")
    sys.stdout.write(f"explained: {told}\n")
    if asked.json:
        report.write_json(asked.json)
    sys.exit(report.exit_code)


if __name__ == "__main__":
    main()
