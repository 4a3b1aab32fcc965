"""Instructions of the client per call, counted by callgrind: no clock, no weather.

Valgrind runs the interpreter on a processor of its own making and counts what it does;
what the server does meanwhile, and how long it takes, does not enter. The difference of
a loop and one of twice as many calls leaves out what the loop itself costs.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from authkit.harness.drills.progress import Progress, silent
from authkit.harness.gate.arms import ArmFailed
from authkit.harness.gate.ground import Ground

CALLS: Final = 20
MISSING: Final = "valgrind is not installed: instructions are not counted"
_TOTAL: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def environment() -> dict[str, str]:
    """Return what the number of instructions depends on; nothing without valgrind."""
    program = shutil.which("valgrind")
    if program is None:
        return {}
    said = subprocess.run([program, "--version"], capture_output=True, check=False)
    found = {"valgrind": said.stdout.decode().strip().removeprefix("valgrind-")}
    return {**found, "processor": _processor(), "python": platform.python_version()}


def count(
    ground: Ground,
    operations: Sequence[str],
    progress: Progress = silent,
) -> tuple[Mapping[str, float], ...]:
    """Count for each version the operations that it has, on databases of their own.

    Raises:
        ArmFailed: an operation failed, or valgrind did not say how much it was.
    """
    with tempfile.TemporaryDirectory(prefix="authkit-callgrind-") as folder:
        places = [Path(folder, str(number)) for number in range(ground.versions)]
        for place in places:
            place.mkdir()
        under = [_valgrind(place) for place in places]
        with ground.teams(1, under=under) as (arms,):
            found: list[dict[str, float]] = [{} for _ in arms]
            for done, name in enumerate(operations):
                progress("instructions", done, len(operations))
                for arm, place, counts in zip(arms, places, found, strict=True):
                    if name in arm.operations:
                        arm.ask("instruct", operation=name, calls=CALLS)
                        counts[name] = _difference(place) / CALLS
            progress("instructions", len(operations), len(operations))
    return tuple(found)


def _valgrind(folder: Path) -> tuple[str, ...]:
    # The worker calls the one function before a loop and the other one after it.
    return (
        *("valgrind", "-q", "--tool=callgrind"),
        *("--zero-before=getpgid", "--dump-before=getsid"),
        f"--callgrind-out-file={folder / 'counted'}",
    )


def _difference(folder: Path) -> int:
    """Return by how much the second loop was longer than the first; remove both."""
    paths = sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name))
    totals: list[int] = []
    for path in paths:
        if found := _TOTAL.search(path.read_text(encoding="ascii", errors="replace")):
            totals.append(int(found[1]))
        path.unlink()
    if len(totals) != 2:
        raise ArmFailed(f"valgrind counted {len(totals)} loops and not two")
    return totals[1] - totals[0]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1].strip() if found else "unknown"
