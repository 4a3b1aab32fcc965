from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, default_int_handler
from typing import Any

import pytest

from authkit.testing.plugin import Database
from authkit.workload.load import seed

ROOT = Path(__file__).resolve().parents[2]
LOCUSTFILE = ROOT / "bench" / "locustfile.py"


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of locust: its exit code, what it printed, what it wrote."""

    code: int
    said: str
    json: dict[str, Any] | None

    @property
    def figures(self) -> dict[str, Any]:
        assert self.json is not None, self.said
        return {found["name"]: found["value"] for found in self.json["figures"]}


class Locust:
    """Starts locust on a database of the test's own, in a process of its own."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder

    def start(
        self,
        *arguments: str,
        path: Path = LOCUSTFILE,
        web_port: str | None = None,
        **variables: object,
    ) -> subprocess.Popen[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DATABASE_", "AUTHKIT_"))
        }
        environment |= {
            "DATABASE_URL": self.database.url,
            "DATABASE_REPLICA_URLS": self.database.replica_url,
            "AUTHKIT_LOAD_JSON": str(self.folder / "load.json"),
            "AUTHKIT_LOAD_STATUS": "1",
            **{name: str(value) for name, value in variables.items()},
        }
        command = [sys.executable, "-m", "locust", "-f", str(path)]
        if web_port is None:
            command.append("--headless")
        else:
            command += ["--web-host", "127.0.0.1", "--web-port", web_port]
        return subprocess.Popen(
            [*command, "--only-summary", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A test run that was started in the background ignores it, and so would
            # its children.
            preexec_fn=lambda: signal.signal(SIGINT, default_int_handler),  # noqa: PLW1509 # no thread holds a lock that the child needs
        )

    def heard(self, process: subprocess.Popen[str], words: str) -> None:
        """Wait until the process says the words; end it when it never does."""
        assert process.stdout is not None
        watch = threading.Timer(60, os.killpg, (process.pid, signal.SIGKILL))
        watch.start()
        try:
            said = ""
            for line in process.stdout:
                said += line
                if words in line:
                    return
        finally:
            watch.cancel()
        raise AssertionError(said)

    def ended(self, process: subprocess.Popen[str]) -> Ran:
        try:
            said, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        path = self.folder / "load.json"
        found = json.loads(path.read_text()) if path.exists() else None
        return Ran(process.returncode, said, found)

    def workers(self, count: int) -> tuple[str, ...]:
        """Return the arguments for a master and its workers on a port of their own."""
        port = self.port()
        forked = ("--processes", str(count))
        return (*forked, "--master-bind-port", port, "--master-port", port)

    @staticmethod
    def port() -> str:
        """Return a port that nobody listens on."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return str(probe.getsockname()[1])

    def run(
        self,
        *arguments: str,
        path: Path = LOCUSTFILE,
        seconds: float = 2,
        **variables: object,
    ) -> Ran:
        return self.ended(
            self.start(*arguments, path=path, AUTHKIT_LOAD_SECONDS=seconds, **variables)
        )


@pytest.fixture
def locust(database: Database, tmp_path: Path) -> Locust:
    seed(database.url, users=40, days=2, seed=1)
    return Locust(database, tmp_path)
