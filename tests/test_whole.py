"""Everything in one sitting, as one reads the README: from nothing to nothing.

One lab, one database, one story: filled, loaded while its primary is killed, attacked,
looked at, backed up, restored, maintained, checked, gone. What takes minutes is asked
for less; every command that the README names is run here, or by what a test names.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.error import URLError

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from authkit.testing.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LOGGER = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[1]
LOG = """\
Nov 20 03:00:01 bar sshd[81]: Failed password for root from 203.0.113.9 port 4 ssh2
Nov 20 03:00:02 bar sshd[81]: Accepted password for ada from 192.0.2.7 port 5 ssh2
"""
# What the README names and this story leaves to others, with who runs it.
ELSEWHERE = {
    "pytest": "CI runs it as it stands",
    "pytest bench --benchmark-only": "tests/bench/test_bench.py",
    "authkit demo": "tests/demo/test_tour.py",
    "authkit bench budgets": "CI runs it as it stands",
    "authkit bench results": "tests/harness/test_goals.py",
    "authkit example": "tests/cli/test_example_tour.py",
    "authkit drill failover --rounds 3": "tests/harness/test_drills.py",
    "authkit metrics bench": "tests/cli/test_metrics.py",
    "authkit drill purge": "tests/harness/test_drill_purge.py",
    "authkit drill failover --engine patroni": "tests/harness/test_drills_patroni.py",
    "authkit lab up --engine patroni --nodes 3": "tests/harness/test_drills_patroni.py",
}


class House:
    """A folder that nothing may leave, and what was run in it."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "my work"
        self.temporary = folder / "temporary"
        self.state = folder / "state"
        for made in (self.work, self.temporary, self.state):
            made.mkdir()
            made.chmod(0o711)
        self.temporary.chmod(0o777)
        kept = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "CI")
        self.variables: dict[str, str] = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "JUPYTER_TOKEN": "a-token",
            "TMPDIR": str(self.temporary),
            "AUTHKIT_STATE_DIR": str(self.state),
        }
        self.ran: list[str] = []

    def run(
        self,
        said: str,
        instead: str | None = None,
        *codes: int,
        where: Path | None = None,
    ) -> str:
        """Run a command of the README, or with less to do; return what it printed."""
        self.ran.append(said)
        program, *rest = shlex.split(instead or said)
        began = monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", program, *rest],
            cwd=where or self.work,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        LOGGER.info("%.1f s: %s", monotonic() - began, said)
        assert ended.returncode in (codes or (0,)), (
            f"{said}: {ended.stdout}{ended.stderr}"
        )
        assert [path.name for path in self.temporary.iterdir()] == [], said
        return ended.stdout

    @contextmanager
    def started(self, said: str, instead: str) -> Iterator[Path]:
        """Run a command that serves until it is told to end; gives what it prints."""
        self.ran.append(said)
        program, *rest = shlex.split(instead)
        printed = self.work / f"{rest[0]}.txt"
        with (
            printed.open("w", encoding="utf-8") as out,
            subprocess.Popen(
                [sys.executable, "-m", program, *rest],
                cwd=self.work,
                env=self.variables,
                stdout=out,
                stderr=subprocess.STDOUT,
            ) as served,
        ):
            try:
                yield printed
            finally:
                served.send_signal(signal.SIGTERM)
                served.wait(timeout=60)

    def figures(self, name: str) -> Mapping[str, Any]:
        """Return the figures that a command left, by name."""
        made = json.loads((self.work / name).read_text(encoding="utf-8"))
        return {told["name"]: told["value"] for told in made["figures"]}

    def processes(self) -> list[str]:
        """Return what still runs out of this house."""
        found: list[str] = []
        for process in psutil.process_iter(["pid", "environ", "cmdline"]):
            told = process.info
            words = [*(told["cmdline"] or ()), *(told["environ"] or {}).values()]
            if any(str(self.state) in word for word in words):
                found.append(f"{told['pid']} {' '.join(told['cmdline'] or ())}")
        return found


@pytest.fixture
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="authkit-whole-"))
    folder.chmod(0o711)
    made = House(folder)
    yield made
    if made.processes():
        made.run("authkit lab down")
    shutil.rmtree(folder)


def serve(house: House, said: str, instead: str, path: str) -> str:
    """Start what serves, fetch a page of it when it says where it is, end it."""
    pages: list[str] = []
    with house.started(said, instead) as printed:

        def answers() -> bool:
            text = printed.read_text(encoding="utf-8")
            found = re.search(r"http://127\.0\.0\.1:\d+", text)
            if found is None:
                return False
            try:
                with urllib.request.urlopen(found.group() + path, timeout=5) as page:  # noqa: S310 # http
                    pages.append(page.read().decode())
            except (URLError, TimeoutError):
                return False
            return True

        until(answers, f"{said} answers", within_s=90)
    return pages[-1]


def test_from_nothing_to_nothing(house: House) -> None:
    run = house.run

    # A lab, migrated and filled.
    run("authkit lab up", "authkit lab up --env-file .env")
    run("authkit db setup")
    run(
        "authkit db seed --users 1000 --days 14 --seed 1",
        "authkit db seed --users 200 --days 7 --seed 1",
    )
    run("authkit db test")
    run("authkit health")
    run("authkit health --rounds 9", None, 0, 1)  # 1: a busy machine

    # Load, while the primary is killed: nothing acknowledged is lost.
    locust = f"locust -f {shlex.quote(str(ROOT / 'bench/locustfile.py'))} --headless"
    run(
        "locust -f bench/locustfile.py --headless -u 50 -r 50 -t 30s",
        f"{locust} -u 10 -r 10 -t 2s",
    )
    run(
        "authkit load --profile session-read --seconds 10",
        "authkit load --profile session-read --seconds 2",
        *(0, 2),
    )
    run(
        "authkit load --profile login-storm --seconds 20"
        " --fault at=8s,kind=kill-primary",
        "authkit load --profile login-storm --seconds 6 --rate 40"
        " --fault at=2s,kind=kill-primary --report load.html --json load.json",
        *(0, 2),  # 2: this machine was too busy for its times to prove anything
    )
    assert "<svg" in (house.work / "load.html").read_text(encoding="utf-8")
    run("authkit health")

    # Who was attacked? A finding names its attempts, and a notebook tells the story.
    run(
        "authkit risk evaluate",
        "authkit risk evaluate --world 1 --users 600 --days 120 --no-ceiling"
        " --resamples 20 --json risk.json",
    )
    assert house.figures("risk.json")
    (house.work / "auth.log").write_text(LOG, encoding="utf-8")
    run(
        "authkit ingest openssh /var/log/auth.log",
        "authkit ingest openssh auth.log --year 2026",
    )
    found = run(
        "authkit risk detect --since 2026-11-01",
        "authkit risk detect --since 2026-01-01 --json detected.json",
    )
    assert re.search(r"password_spray: [1-9]", found)
    hunt(house)
    run("authkit export parquet --since 7d --to parquet")
    assert list((house.work / "parquet").rglob("*.parquet"))
    serve(
        house,
        "authkit notebook",
        "authkit notebook --no-browser",
        "/api/kernelspecs?token=a-token",
    )

    # Run it: what is kept can be restored, nothing is broken, nothing leaks.
    run("authkit backup create backups")
    run("authkit backup drill", "authkit backup drill backups --json restored.json")
    run("authkit db maintain")
    run("authkit fsck")
    run("authkit audit verify")
    run("authkit leakcheck")
    metrics = serve(
        house,
        "authkit metrics serve",
        "authkit metrics serve --port 0",
        "/metrics",
    )
    assert "authkit_" in metrics
    assert "authkit_writable" in run("authkit metrics alerts")
    assert "authkit_writable" in run("authkit metrics dashboard")
    if (ROOT / ".git").exists():
        run(
            "authkit bench gate HEAD~1",
            "authkit bench gate HEAD --exact --only sessions.validate"
            " --no-instructions",
            where=ROOT,
        )

    # The primary dies once more, and nobody is there to do it for us.
    run("authkit lab kill primary")
    run("authkit health", None, 2)
    run("authkit lab promote")
    run("authkit lab down")
    assert house.processes() == []
    assert [path.name for path in house.state.rglob("*") if path.is_file()] == []


def hunt(house: House) -> None:
    """Execute the notebook that looks for attacks, on this house's database."""
    told = (house.work / ".env").read_text(encoding="utf-8").splitlines()
    variables = dict(line.split("=", 1) for line in told if "=" in line)
    made = nbformat.read(ROOT / "notebooks/03_attack_hunt.ipynb", as_version=4)
    NotebookClient(
        made,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(house.work)}},
    ).execute(env={**house.variables, **variables, "TMPDIR": str(house.work)})
    text = json.dumps([cell.get("outputs", []) for cell in made.cells])
    assert re.search(r"[1-9]\d* findings by", text)
    assert "findings.csv" in text


def test_the_readme_names_no_command_that_nobody_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL))
    words = [part.strip() for line in lines.splitlines() for part in line.split("&&")]
    named = {
        " ".join(shlex.split(word, comments=True)[2:])
        for word in words
        if word.startswith("uv run ")
    }
    story = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    told = {made.value for made in ast.walk(story) if isinstance(made, ast.Constant)}
    assert named - told == set()
