"""The operating-system account that the servers run as: root may not run PostgreSQL.

Whatever else runs as that account can read a lab's data: a lab is no place for secrets.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from authkit.errors import LabError
from authkit.lab.processes import Process, identify

_CANDIDATES = ("nobody", "postgres")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the servers; `switch` is true when that is not the caller."""

    name: str
    uid: int
    gid: int
    switch: bool

    def own(self, path: Path, mode: int) -> None:
        """Hand a file or folder to this account."""
        path.chmod(mode)
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        home: Path,
        environment: Mapping[str, str] | None = None,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.STDOUT,
    ) -> subprocess.Popen[bytes]:
        """Start a program as this account, in a session of its own.

        HOME is `home`, so that libpq does not look into the caller's folders.
        """
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=home,
            env=self._environment(home, environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def launch(
        self,
        command: Sequence[str | Path],
        *,
        home: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> Process | None:
        """Start a program that stays; what it says goes to the end of a log.

        The shell leaves at once: it has no parent that must reap it.

        Returns:
            the program; None when it has ended already.
        """
        with (
            log.open("ab") as said,
            self.spawn(
                ["/bin/sh", "-c", '"$@" >&2 </dev/null & echo $!', "sh", *command],
                home=home,
                environment=environment,
                stderr=said,
            ) as shell,
        ):
            pid, _ = shell.communicate()
        return identify(int(pid))

    def _environment(self, home: Path, extra: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in {"LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ"}
        }
        return {
            "PATH": os.defpath,
            **kept,
            "HOME": str(home),
            "LC_ALL": "C",
            "PGUSER": self.name,
            **extra,
        }


def by_name(name: str) -> Account:
    """Return the account that a lab's servers were started as.

    Raises:
        LabError: there is no such account, or the caller may not act for it.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise LabError(f"account {name}, who runs this lab, is gone") from None  # so
    uid = os.geteuid()
    if uid not in {0, entry.pw_uid}:
        raise LabError(f"the lab is run by {name}: use it as {name} or as root")
    return Account(name, entry.pw_uid, entry.pw_gid, switch=uid != entry.pw_uid)


def choose() -> Account:
    """Return the account to run servers as: the caller's, or for root a plain one.

    Raises:
        LabError: root has no other account to use.
    """
    uid = os.geteuid()
    if uid != 0:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            raise LabError(
                f"user {uid} has no entry in the password database, which initdb "
                "needs: add one, or run as another user"
            ) from None  # the lookup's own message says less
        return Account(name, uid, os.getegid(), switch=False)
    for candidate in _CANDIDATES:
        try:
            entry = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if entry.pw_uid:
            return Account(candidate, entry.pw_uid, entry.pw_gid, switch=True)
    raise LabError(
        "PostgreSQL does not run as root, and there is no account "
        f"{' or '.join(_CANDIDATES)} to run it as: add one "
        "(useradd --system postgres), or run authkit as an ordinary user"
    )
