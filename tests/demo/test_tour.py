"""The whole tour, as a user starts it: `authkit demo`, on a real cluster."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

NAMES = {
    "operations",
    "errors",
    "reads_failed",
    "outage_ms",
    "acknowledged_writes",
    "acknowledged_writes_lost",
    "report",
}


class Demo:
    """`authkit demo` with a state folder of its own, so that leftovers show."""

    def __init__(self, state: Path, folder: Path) -> None:
        self.state = state
        self.folder = folder

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DATABASE_", "AUTHKIT_"))
        }
        return subprocess.Popen(
            [sys.executable, "-m", "authkit", "demo", "--dir", self.folder, *arguments],
            cwd=self.folder,
            env={**environment, "AUTHKIT_STATE_DIR": str(self.state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        try:
            said, complained = process.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode, said, complained

    @property
    def processes(self) -> list[str]:
        """Command lines of processes that have to do with this demo."""
        found: list[str] = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                around = process.environ().get("AUTHKIT_STATE_DIR", "")
            except psutil.Error:
                continue
            if str(self.state) in line or str(self.state) == around:
                found.append(line)
        return found

    @property
    def labs(self) -> list[Path]:
        return [
            path
            for path in self.state.rglob("*")
            if path.is_dir() and path.name.startswith(("run-", "demo-"))
        ]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    # Not below pytest's own folder: the server's account may not enter that one.
    state = Path(tempfile.mkdtemp(prefix="authkit-test-"))
    state.chmod(0o755)
    yield Demo(state, tmp_path)
    shutil.rmtree(state)


def test_the_demo_shows_a_failover_without_a_lost_write_and_leaves_nothing(demo: Demo):
    arguments = ("--seconds", "4", "--users", "4", "--json", "-")
    code, said, told = demo.ended(demo.start(*arguments))
    assert code == 0, said + told

    found = json.loads(said)
    values = {figure["name"]: figure["value"] for figure in found["figures"]}
    assert values.keys() >= NAMES
    assert (found["command"], found["valid"], found["reason"]) == ("demo", True, None)
    assert values["acknowledged_writes_lost"] == 0
    assert values["acknowledged_writes"] > 200
    assert 0 < values["outage_ms"] <= 3000
    marks = [mark["what"] for mark in found["marks"]]
    assert marks == ["killed", "promoted", "rejoining", "rejoined", "streaming"]

    html = Path(values["report"]).read_text()
    for words in (
        "node1 killed",
        "node2 promoted",
        "node2 writes again",
        "Who changed",
    ):
        assert words in html
    for name in ("risk.svg", "guessing.svg", "audit.svg"):
        assert "<svg" in (demo.folder / name).read_text()

    for step in ("a primary and a synchronous replica", "node1 killed (-9)", "is lost"):
        assert step in told  # progress goes to standard error beside the JSON
    assert re.search(r"What to try next\n  (uv run )?authkit lab up  ", told)
    assert (demo.processes, demo.labs) == ([], [])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kept_demo_leaves_a_running_cluster_and_says_how_to_reach_and_end_it(
    demo: Demo,
):
    code, said, told = demo.ended(
        demo.start("--seconds", "4", "--users", "2", "--keep")
    )
    assert code == 0, said + told
    found = dict(
        line.strip().removeprefix("export ").split("=", 1)
        for line in said.splitlines()
        if line.strip().startswith("export ")
    )
    url = found["DATABASE_URL"].strip("'")
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) > 0 FROM authkit.users").fetchone()
    assert row == (True,)

    # A second run beside the one that was kept.
    again, said_again, told_again = demo.ended(
        demo.start("--seconds", "4", "--users", "2")
    )
    assert again == 0, said_again + told_again

    (line,) = (text for text in said.splitlines() if "authkit lab down" in text)
    name = line.partition("lab down ")[2].split()[0]
    subprocess.run(
        [sys.executable, "-m", "authkit", "lab", "down", name],
        env={**os.environ, "AUTHKIT_STATE_DIR": str(demo.state)},
        check=True,
        capture_output=True,
    )
    assert (demo.processes, demo.labs) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "when"),
    [
        (signal.SIGINT, 130, "tables in the schema"),
        (signal.SIGINT, 130, "users at work"),
        (signal.SIGTERM, 143, "users at work"),
    ],
)
def test_a_demo_that_is_stopped_leaves_nothing(demo: Demo, number, code: int, when):
    process = demo.start("--seconds", "20", "--users", "2")
    assert process.stdout is not None
    for line in process.stdout:
        if when in line:
            break
    process.send_signal(number)
    ended, said, told = demo.ended(process)
    # An interrupt that Python takes inside an `eval` (the making of a namedtuple, say)
    # marks the process: caught or not, it ends by that signal, and a shell says 130
    # to both.
    assert ended in {code, -number if number is signal.SIGINT else code}, said + told
    assert "Traceback" not in told
    assert (demo.processes, demo.labs) == ([], [])


def test_a_folder_that_cannot_be_written_is_one_sentence_before_anything_starts(
    demo: Demo,
):
    (demo.folder / "file").write_text("in the way")
    process = demo.start("--dir", str(demo.folder / "file"))
    code, _, told = demo.ended(process)
    assert code == 2
    assert "cannot be written" in told
    assert "choose another one with --dir" in told
    assert "Traceback" not in told
    assert demo.labs == []
