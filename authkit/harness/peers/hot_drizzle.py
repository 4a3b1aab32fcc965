"""Drizzle on node-postgres, from npm, in a folder of its own that goes again."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Final

from authkit.errors import LabError
from authkit.harness.peers import hot_world as world

PACKAGES: Final = ("drizzle-orm@0.44", "pg@8")
_INSTALL_S: Final = 180


class Drizzle:
    """The script and its packages, installed; calls run in a process of their own.

    Args:
        folder: an empty one, which the caller removes.

    Raises:
        LabError: npm could not install the packages.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        source = files("authkit.harness.peers").joinpath("drizzle.mjs")
        (folder / "drizzle.mjs").write_text(source.read_text("utf-8"), "utf-8")
        ran = _installed(
            (
                *(shutil.which("npm") or "npm", "install"),
                *("--no-audit", "--no-fund", "--ignore-scripts"),
                *("--prefix", str(folder), "--cache", str(folder / "cache"), *PACKAGES),
            )
        )
        if not ran:
            raise LabError("npm could not install Drizzle: is a registry reachable?")

    def rate(
        self, url: str, operation: str, keys: list[int], clients: int, seconds: float
    ) -> float:
        """Return calls a second.

        Raises:
            LabError: node failed; its last words are in the message.
        """
        asked = {
            "url": url,
            "operation": operation,
            "keys": keys[:20_000],
            "clients": clients,
            "seconds": seconds,
            "sql": {name: world.SINGLE[name].sql for name in world.OPERATIONS},
        }
        ran = subprocess.run(
            (shutil.which("node") or "node", "drizzle.mjs"),
            cwd=self._folder,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        if ran.returncode:
            said = [line for line in ran.stderr.splitlines() if "rror" in line]
            raise LabError(f"node could not run Drizzle: {(said or ['?'])[0]}")
        return float(json.loads(ran.stdout))


def _installed(command: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def present() -> bool:
    """Whether node and npm are installed."""
    return shutil.which("node") is not None and shutil.which("npm") is not None
