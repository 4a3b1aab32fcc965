"""The load of the tour: locust in a process of its own, heard through a pipe.

Its own process because locust patches what it runs in, and because a load generator
that shares an interpreter with what kills the primary would stall with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from authkit.errors import AuthkitError

_STATUS: Final = "@authkit "
_START_S: Final = 60.0
_END_S: Final = 60.0
# Whoever started it ends it; should that one be killed, it ends by itself.
_LONGEST_S: Final = 1_200.0


class LoadFailed(AuthkitError):
    """The load could not run; the message says why and where its log is."""


class Load:
    """One run of locust, from `with` to the end of the block.

    Args:
        folder: where it leaves `recording.json`, `load.json`, `history.txt` and
            `load.log`.
        env: DATABASE_URL and what else the load is to see.
        users: simulated users.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], *, users: int) -> None:
        self.folder = folder
        self.history = folder / "history.txt"
        self.recording = folder / "recording.json"
        self._log = folder / "load.log"
        self._env = {
            **os.environ,
            **env,
            "AUTHKIT_LOAD_PROFILE": str(Path(__file__).with_name("demo.toml")),
            "AUTHKIT_LOAD_SECONDS": f"{_LONGEST_S:g}",
            "AUTHKIT_LOAD_HISTORY": str(self.history),
            "AUTHKIT_LOAD_RECORDING": str(self.recording),
            "AUTHKIT_LOAD_JSON": str(folder / "load.json"),
            "AUTHKIT_LOAD_STATUS": "1",
        }
        self._users = users
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Load:
        """Start locust."""
        locustfile = Path(__file__).parents[1] / "harness" / "locustfile.py"
        command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless"]
        command += ["--only-summary", "--exit-code-on-error", "0"]
        command += ["-u", str(self._users), "-r", str(self._users)]
        with self._log.open("w", encoding="utf-8") as log:
            # A session of its own: Ctrl-C is for the tour, which then ends the load.
            self._process = subprocess.Popen(
                command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End locust, by force when it does not end by itself."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            for number, patience_s in ((signal.SIGTERM, 8.0), (signal.SIGKILL, 8.0)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience_s)
                    break
        process.wait()

    def _listen(self) -> None:
        process = self._process
        assert process is not None  # noqa: S101 # started just before
        assert process.stdout is not None  # noqa: S101 # as asked for
        for line in process.stdout:
            if line.startswith(_STATUS):
                self._events.put(json.loads(line.removeprefix(_STATUS)))
        self._events.put(None)

    def next_event(self, timeout_s: float) -> dict[str, Any] | None:
        """Return what the load says next, None when it said nothing in time.

        Raises:
            LoadFailed: it ended.
        """
        try:
            event = self._events.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if event is None:
            raise LoadFailed(self._why())
        return event

    def wait_started(self) -> float:
        """Wait until it measures; return when that was, in wall-clock seconds.

        Raises:
            LoadFailed: it ended, or did not start in time.
        """
        event = self.next_event(_START_S)
        if event is None:
            raise LoadFailed(f"the load did not start in {_START_S:g} s: {self._log}")
        return float(event["at_s"])

    def end(self) -> None:
        """Ask it to end, and wait until it has written its files.

        Raises:
            LoadFailed: it failed, or did not end in time.
        """
        process = self._process
        assert process is not None  # noqa: S101 # inside the `with` block
        process.terminate()
        try:
            code = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise LoadFailed(f"the load did not end: see {self._log}") from None
        if code != 0 or not self.recording.exists():
            raise LoadFailed(self._why())

    def _why(self) -> str:
        """Return the last error of its log."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        errors = [line for line in lines if "/ERROR/" in line or "authkit:" in line]
        last = (errors or lines or ["it said nothing"])[-1]
        return f"the load ended early: {last} (see {self._log})"
