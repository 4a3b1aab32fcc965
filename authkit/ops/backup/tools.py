"""PostgreSQL's programs, run for backups: their output read, their faults named."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from authkit.errors import BackupError
from authkit.lab import account, places, programs
from authkit.lab.programs import Programs
from authkit.settings import Settings, plain_url

Told = Callable[[str, int, int], None]
"""What work tells of its progress: a phase, how much is done, of how much."""

_PATIENCE_S = 5.0
_DONE = re.compile(r"(\d+)/(\d+) kB")
_ERROR = re.compile(r"(?:error|fatal|detail): +(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs of one installation."""

    programs: Programs

    def require_major(self, major: int) -> None:
        """Refuse programs of another major version than the server's.

        Raises:
            BackupError: they differ.
        """
        if self.programs.major != major:
            raise BackupError(
                f"the server is PostgreSQL {major}, the programs in"
                f" {self.programs.bindir} are {self.programs.major}: name the folder"
                " of its own in AUTHKIT_PG_BINDIR"
            )

    def start(
        self, program: str, arguments: Sequence[str | Path], url: str | None = None
    ) -> subprocess.Popen[str]:
        """Start a program; standard error comes with standard output."""
        environment = {**os.environ, "LC_ALL": "C"}
        if url is not None:
            parts = conninfo_to_dict(plain_url(url))
            password = parts.pop("password", None)
            environment["PGPASSWORD"] = str(password or "")
            arguments = [*arguments, "-d", make_conninfo("", **parts)]
        return subprocess.Popen(
            [str(self.programs.path(program)), *map(str, arguments)],
            env=environment,
            stdin=subprocess.DEVNULL,
            # pg_basebackup has a child that receives the log: they end together.
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def run(
        self,
        program: str,
        arguments: Sequence[str | Path],
        *,
        url: str | None = None,
        phase: str = "",
        tell: Told | None = None,
    ) -> str:
        """Run a program to its end and return what it said.

        Raises:
            BackupError: it failed; the message ends with its complaint.
        """
        said: list[str] = []
        copied = 0
        with self.start(program, arguments, url) as process:
            try:
                # Progress comes as lines that a carriage return ends.
                for line in process.stdout or ():
                    said.append(line.rstrip())
                    done = _DONE.search(line)
                    if done and tell is not None:
                        copied = int(done[1]) * 1024
                        tell(phase, copied, int(done[2]) * 1024)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            raise BackupError(f"{program} failed: {complaint(said)}")
        if copied and tell is not None:
            tell(phase, copied, copied)  # an increment is less than was estimated
        return "\n".join(said)


def end(process: subprocess.Popen[str]) -> None:
    """Ask a program to end, and wait; one that has not within 5 s is killed."""
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def complaint(lines: Sequence[str]) -> str:
    """Return the sentences in which a program says why it failed."""
    errors = [match[1] for line in lines if (match := _ERROR.search(line))]
    return "; ".join(errors[-3:]) or (lines[-1] if lines else "it says nothing")


def find_tools() -> Tools:
    """Find PostgreSQL's programs: AUTHKIT_PG_BINDIR, the wheel, an installed server.

    Raises:
        LabError: there are none that run.
    """
    root = places.state_root()
    bindir = Settings.load().authkit_pg_bindir
    return Tools(programs.find(bindir, account.choose(), root / "programs"))
