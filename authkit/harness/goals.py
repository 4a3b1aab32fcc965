"""The sheet of goals: each figure authkit set itself, beside what was measured.

`bench/goals.toml` names them. A goal points into a file of figures that a command
wrote (`authkit.figures`, or pytest-benchmark's JSON), so no number is ever copied by
hand, and a goal nobody measured stands in the sheet as such.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import eq, ge, le
from pathlib import Path
from typing import Any, Final, Literal, cast

from authkit.errors import InvalidInput

Verdict = Literal["met", "missed", "not measured"]
Json = Mapping[str, Any]

KEPT: Final = (
    "command",
    "authkit",
    "postgres",
    "machine",
    "started",
    "seconds",
    "figures",
)

OPERATORS: Final = {"<=": le, ">=": ge, "==": eq}


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted of one figure.

    Attributes:
        area: under which heading it stands.
        what: in words.
        op: how the figure has to compare with the bound: `<=`, `>=` or `==`.
        bound: the bound, in `unit`.
        source: the name of the file of figures, without its ending.
        figure: the figure's name in it; for pytest-benchmark, `test: key` of the
            test's `extra_info`.
        scale: what the figure is multiplied with to come to `unit`.
        missed: why it is missed and what was tried, where it is.
    """

    area: str
    what: str
    op: str
    bound: float
    source: str
    figure: str
    unit: str = ""
    scale: float = 1.0
    missed: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A goal with what was measured; `value` is None where nothing was."""

    goal: Goal
    value: float | None

    @property
    def verdict(self) -> Verdict:
        """Whether the goal is met."""
        if self.value is None:
            return "not measured"
        met = OPERATORS[self.goal.op](self.value, self.goal.bound)
        return "met" if met else "missed"


@dataclass(frozen=True, slots=True)
class Goals:
    """The file of goals: them, and the command that measures each source."""

    goals: tuple[Goal, ...]
    commands: Mapping[str, str]


def load(path: Path) -> Goals:
    """Read a file of goals.

    Raises:
        InvalidInput: it cannot be read, or an entry of it is none; says which.
    """
    try:
        made = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise InvalidInput(
            f"there is no file of goals {path} here: authkit's own are in a clone of "
            "its repository; stand in that, or name a file of yours with --goals"
        ) from exc
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"{path} is no TOML: {exc}") from exc
    goals: list[Goal] = []
    for number, entry in enumerate(made.get("goal", ()), 1):
        try:
            goal = Goal(**entry)
        except TypeError as exc:
            raise InvalidInput(f"{path}, goal {number}: {exc}") from exc
        if goal.op not in OPERATORS:
            raise InvalidInput(f"{path}, goal {number}: {goal.op!r} is no comparison")
        goals.append(goal)
    commands = {str(k): str(v) for k, v in made.get("command", {}).items()}
    unknown = sorted({goal.source for goal in goals} - commands.keys())
    if unknown:
        raise InvalidInput(f"{path}: no command for {', '.join(unknown)}")
    return Goals(tuple(goals), commands)


def figures(folder: Path, sources: Sequence[str]) -> dict[str, Json]:
    """Return the files of figures that are there, by the name of their source.

    Raises:
        InvalidInput: a file is no JSON object.
    """
    found: dict[str, Json] = {}
    for source in sources:
        path = folder / f"{source}.json"
        try:
            made = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise InvalidInput(f"cannot read {path}: {exc.strerror}") from exc
        except ValueError as exc:
            raise InvalidInput(f"{path} is no JSON: {exc}") from exc
        if not isinstance(made, dict):
            raise InvalidInput(f"{path} holds no figures")
        found[source] = cast("Json", made)
    return found


def slim(made: Json) -> Json:
    """Return a file of figures without its series: what the sheet needs is kept."""
    if "machine_info" in made:
        kept = [
            {"name": told["name"], "extra_info": told["extra_info"]}
            for told in cast("Sequence[Json]", made["benchmarks"])
        ]
        here = cast("Json", made["machine_info"])
        told = {key: here[key] for key in ("system", "release")}
        cpu = {"count": cast("Json", here.get("cpu", {})).get("count")}
        return {
            "datetime": made["datetime"],
            "machine_info": {**told, "cpu": cpu},
            "benchmarks": kept,
        }
    return {key: made[key] for key in KEPT if key in made}


def measured(goal: Goal, made: Json | None) -> float | None:
    """Return the figure that a goal speaks of, in its unit; None if there is none."""
    if made is None:
        return None
    value: object = None
    if "machine_info" in made:
        test, _, key = goal.figure.partition(": ")
        for benchmark in cast("Sequence[Json]", made["benchmarks"]):
            if benchmark["name"] == test:
                value = benchmark["extra_info"].get(key)
    else:
        for figure in cast("Sequence[Json]", made.get("figures", ())):
            if figure["name"] == goal.figure:
                value = figure["value"]
    if isinstance(value, Mapping):
        value = cast("Json", value).get("value")
    return value * goal.scale if isinstance(value, int | float) else None


def rows(goals: Goals, found: Mapping[str, Json]) -> tuple[Row, ...]:
    """Set each goal beside its figure."""
    return tuple(
        Row(goal, measured(goal, found.get(goal.source))) for goal in goals.goals
    )


def markdown(goals: Goals, found: Mapping[str, Json]) -> str:
    """Draw the sheet as Markdown: a table for each area, then what made it."""
    made = rows(goals, found)
    count = {v: sum(row.verdict == v for row in made) for v in ("met", "missed")}
    unmeasured = len(made) - count["met"] - count["missed"]
    told = ", ".join(f"{number} {verdict}" for verdict, number in count.items())
    lines = [
        "# What authkit set itself, and what was measured",
        "",
        "Made by `authkit bench results` from bench/results; `--run` measures again.",
        "",
        f"{len(made)} goals: {told}, {unmeasured} not measured.",
    ]
    for area in dict.fromkeys(row.goal.area for row in made):
        lines += ["", f"## {area}", "", "| what | goal | measured | |"]
        lines += ["|---|---|---|---|"]
        here = [row for row in made if row.goal.area == area]
        lines += [_line(row) for row in here]
        missed = [r.goal for r in here if r.verdict == "missed" and r.goal.missed]
        lines += [""] if missed else []
        lines += [f"- **{goal.what}**: {goal.missed}" for goal in missed]
    lines += ["", "## How it was measured", "", "| file | command | when | where |"]
    lines += ["|---|---|---|---|"]
    for source in dict.fromkeys(row.goal.source for row in made):
        when, where = _circumstances(found.get(source))
        lines += [f"| {source} | `{goals.commands[source]}` | {when} | {where} |"]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    goal = row.goal
    unit = f" {goal.unit}" if goal.unit else ""
    value = "-" if row.value is None else f"{shown(row.value)}{unit}"
    wanted = f"{goal.op} {shown(goal.bound)}{unit}"
    verdict = row.verdict if row.verdict == "met" else f"**{row.verdict}**"
    return f"| {goal.what} | {wanted} | {value} | {verdict} |"


def shown(value: float) -> str:
    """Write a number as people read it: three digits that count, thousands apart."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _circumstances(made: Json | None) -> tuple[str, str]:
    if made is None:
        return "-", "-"
    if "machine_info" in made:
        told = cast("Json", made["machine_info"])
        cpus = cast("Json", told.get("cpu", {})).get("count", "?")
        system = f"{told['system']} {told['release']}"
        return str(made["datetime"])[:10], f"{cpus} processors, {system}"
    told = cast("Json", made["machine"])
    server = f", PostgreSQL {made['postgres']}" if made.get("postgres") else ""
    return (
        str(made["started"])[:10],
        f"{told['cpus']} processors, {told['system']}, Python {told['python']}{server}",
    )
