"""The one shape in which every measuring command writes its figures.

`{"command", "authkit", "postgres", "machine", "started", "seconds", "figures": [...]}`
with extra keys per command. Reports, notebooks, the results store and CI read it.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from authkit.errors import InvalidInput

Direction = Literal["<=", ">=", "=="]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value beside its goal; `goal` and `holds` are None where none is."""

    name: str
    value: float | int | str | None
    unit: str = ""
    goal: str | None = None
    holds: bool | None = None


def figure(
    name: str,
    value: float | None,
    unit: str = "",
    *,
    goal: tuple[Direction, float] | None = None,
) -> Figure:
    """Make a `Figure` and decide whether it holds; an unmeasured goal does not."""
    if goal is None:
        return Figure(name, value, unit)
    direction, bound = goal
    holds = value is not None and (
        (direction == "<=" and value <= bound)
        or (direction == ">=" and value >= bound)
        or (direction == "==" and value == bound)
    )
    return Figure(name, value, unit, f"{direction} {bound:g}", holds)


def machine() -> dict[str, str | int]:
    """Describe the machine without naming it: processor count, system, Python."""
    return {
        "cpus": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.release()}",
        "arch": platform.machine(),
        "python": platform.python_version(),
    }


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run of one command.

    `extra` is merged into the top level of the JSON: series, paths, findings.
    """

    command: str
    started: datetime
    seconds: float
    figures: tuple[Figure, ...]
    postgres: str | None = None
    extra: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def holds(self) -> bool:
        """True when no figure misses its goal."""
        return all(f.holds is not False for f in self.figures)

    @property
    def exit_code(self) -> int:
        """0 when every goal holds, 1 when one does not."""
        return 0 if self.holds else 1

    def as_dict(self) -> dict[str, object]:
        """Return the documented JSON shape."""
        from authkit import __version__

        return {
            "command": self.command,
            "authkit": __version__,
            "postgres": self.postgres,
            "machine": machine(),
            "started": self.started.astimezone(UTC).isoformat(),
            "seconds": round(self.seconds, 3),
            "figures": [asdict(f) for f in self.figures],
            **self.extra,
        }

    def write_json(self, target: str) -> None:
        """Write the JSON to a file, or to standard output when `target` is `-`.

        Raises:
            InvalidInput: the file cannot be written.
        """
        text = json.dumps(self.as_dict(), indent=2, default=str) + "\n"
        if target == "-":
            sys.stdout.write(text)
            return
        try:
            Path(target).write_text(text, encoding="utf-8")
        except OSError as exc:
            raise InvalidInput(f"cannot write {target}: {exc.strerror}") from exc
