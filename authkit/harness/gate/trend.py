"""How costs went from version to version: a history, and where it changed for good."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import pairwise
from math import log
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final, cast

from authkit.errors import InvalidInput
from authkit.harness import results
from authkit.harness.gate import segments

COMMANDS: Final = ("bench gate", "bench budgets", "load")
_COUNTERS: Final = (
    ("blocks", "buffers"),
    ("wal_bytes", "bytes of WAL"),
    ("instructions", "instructions"),
)
_OF_LOAD: Final = ("operations_per_s", "response_p99_ms", "service_p99_ms")
_FEWEST: Final = 5
_BARS: Final = "▁▂▃▄▅▆▇█"
# The cost of one more change point, in variances of the noise: as BIC has it, thrice,
# because timings of neighbouring days are not independent.
_PENALTY: Final = 3.0
# What is smaller than this is no change, however steady the series.
_LEAST: Final = 0.01
_EMPTY: Final = "no run is in this history yet"


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one series, and of which version it is."""

    started: datetime
    revision: str
    value: float


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """From here on a series is another: means before and after."""

    at: Point
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """How many times as much; infinite where there was nothing before."""
        return self.after / self.before if self.before else float("inf")


@dataclass(frozen=True, slots=True)
class Series:
    """One series of the history, the oldest first, and where it changed."""

    name: str
    unit: str
    points: tuple[Point, ...]
    changes: tuple[ChangePoint, ...]


@dataclass(frozen=True, slots=True)
class History:
    """All series, and the lines that could not be read."""

    series: tuple[Series, ...]
    damaged: tuple[str, ...]


def read(folder: Path) -> History:
    """Read the history that `--history FOLDER` wrote; a bad line is named and left out.

    Raises:
        InvalidInput: the folder holds no history, or cannot be read.
    """
    damaged: list[str] = []
    found: dict[tuple[str, str], list[Point]] = {}
    paths = [folder / f"{command}{results.SUFFIX}" for command in COMMANDS]
    if not any(path.exists() for path in paths):
        raise InvalidInput(f"{folder} holds no history of benchmarks")
    for path in paths:
        for key, point in _points(path, damaged):
            found.setdefault(key, []).append(point)
    series: list[Series] = []
    for (name, unit), points in sorted(found.items()):
        points.sort(key=lambda point: point.started)
        series.append(Series(name, unit, tuple(points), change_points(points)))
    return History(tuple(series), tuple(damaged))


def change_points(points: Sequence[Point]) -> tuple[ChangePoint, ...]:
    """Return where the mean of a series changed for good, the earliest first."""
    if len(points) < _FEWEST:
        return ()
    values = [log(max(point.value, 1e-9)) for point in points]
    noise = max(median(abs(b - a) for a, b in pairwise(values)) / 0.954, _LEAST / 2)
    ends = segments.ends(values, _PENALTY * log(len(values)) * noise**2)
    starts = [0, *ends[:-1]]
    # Judged by logarithms, which know no zero; told as what the values are.
    levels = [fmean(values[a:b]) for a, b in zip(starts, ends, strict=True)]
    means = [
        fmean(point.value for point in points[a:b])
        for a, b in zip(starts, ends, strict=True)
    ]
    return tuple(
        ChangePoint(points[at], means[number], means[number + 1])
        for number, at in enumerate(starts[1:])
        if abs(levels[number + 1] - levels[number]) > _LEAST
    )


def terminal(history: History) -> tuple[str, ...]:
    """Return a line for each series, its bars, and a line for each change."""
    lines: list[str] = []
    for one in history.series:
        last = one.points[-1].value
        lines.append(f"{one.name:<44} {_bars(one)} {last:g} {one.unit}")
        lines += [
            f"    {change.at.started:%Y-%m-%d} {change.at.revision}: "
            f"{change.before:.4g} -> {change.after:.4g}"
            + (f" ({change.ratio:.3f} times)" if change.before else "")
            for change in one.changes
        ]
    lines += [f"left out: {what}" for what in history.damaged]
    changed = sum(len(one.changes) for one in history.series)
    lines.append(f"{len(history.series)} series, {changed} changes")
    if not history.series:
        lines.append(_EMPTY)
    return tuple(lines)


def html(history: History) -> str:
    """Return a page by itself: no script, nothing fetched."""
    rows = "".join(_figure(one) for one in history.series) or f"<p>{_EMPTY}</p>"
    left = "".join(f"<li>{escape(what)}</li>" for what in history.damaged)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>authkit: cost over"
        " time</title><style>body{font:15px system-ui;margin:2rem;max-width:60rem;"
        "color-scheme:light dark}svg{width:100%;height:90px}section{break-inside:avoid}"
        "h2{font-size:1.1rem;margin:1.8rem 0 .2rem}p{margin:0;opacity:.75}"
        "polyline,path,line{fill:none;stroke:#0072b2;stroke-width:1.5;"
        "vector-effect:non-scaling-stroke}path{stroke-width:7;stroke-linecap:round}"
        "line{stroke:#d55e00;stroke-dasharray:4 3}"
        f"</style><h1>Cost over time</h1>{rows}"
        + (f"<h2>Left out</h2><ul>{left}</ul>" if left else "")
        + "</html>\n"
    )


def _figure(one: Series) -> str:
    values = [point.value for point in one.points]
    low, high = min(values), max(values)
    last = max(len(values) - 1, 1)

    def height(value: float) -> float:
        return 85 - 80 * (value - low) / (high - low) if high > low else 45

    # Room for the dot at the end: the newest value, which may be the only one.
    places = [5 + 590 * at / last for at in range(len(values))]
    marks = [f"{x:.1f},{height(y):.1f}" for x, y in zip(places, values, strict=True)]
    steps = [places[one.points.index(change.at)] for change in one.changes]
    lines = "".join(f"<line x1={x:.1f} x2={x:.1f} y1=0 y2=90 />" for x in steps)
    told = "".join(
        f"<li>{change.at.started:%Y-%m-%d} {escape(change.at.revision)}: "
        f"{change.before:.4g} to {change.after:.4g}</li>"
        for change in one.changes
    )
    return (
        f"<section><h2>{escape(one.name)}</h2><p>{low:g} to {high:g}"
        f" {escape(one.unit)}, last {values[-1]:g}; runs: {len(values)}, from"
        f" {one.points[0].started:%Y-%m-%d} to {one.points[-1].started:%Y-%m-%d}</p>"
        "<svg viewBox='0 0 600 90' preserveAspectRatio=none"
        f" role=img aria-label='{escape(one.name, quote=True)}'>"
        f"<polyline points='{' '.join(marks)}' /><path d='M{marks[-1]}h0' />"
        f"{lines}</svg>" + (f"<ul>{told}</ul>" if told else "") + "</section>"
    )


def _bars(one: Series) -> str:
    values = [point.value for point in one.points][-40:]
    low, high = min(values), max(values)
    if high == low:
        return _BARS[0] * len(values)
    return "".join(_BARS[round(7 * (v - low) / (high - low))] for v in values)


def _points(path: Path, damaged: list[str]) -> Iterator[tuple[tuple[str, str], Point]]:
    try:
        # In bytes: one that is no text costs no other line.
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror}") from exc
    for number, line in enumerate(lines, 1):
        try:
            yield from list(_of_run(cast("Mapping[str, Any]", json.loads(line))))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            damaged.append(
                f"{path.name}: line {number} is no run ({type(exc).__name__})"
            )


def _of_run(run: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Point]]:
    started = datetime.fromisoformat(run["started"])
    if run.get("command") == "load":
        yield from _of_load(run, started)
        return
    revision = str(run["revision"])
    for name, cost in cast("Mapping[str, Any]", run.get("costs", {})).items():
        for counter, unit in _COUNTERS:
            if counter in cost:
                point = Point(started, revision, float(cost[counter]))
                yield (f"{name} {counter}", unit), point
    for one in cast("Sequence[Mapping[str, Any]]", run.get("benchmarks", ())):
        if one["verdict"] != "invalid":
            # The time of one day's machine is no history; the ratio to the base is.
            point = Point(started, revision, float(one["ratio"]))
            yield (f"{one['benchmark']} to its base", "times"), point


def _of_load(
    run: Mapping[str, Any], started: datetime
) -> Iterator[tuple[tuple[str, str], Point]]:
    """Return the points of a load run that proves something."""
    if not run["valid"]:
        return
    for one in cast("Sequence[Mapping[str, Any]]", run["figures"]):
        if one["name"] in _OF_LOAD and one["value"] is not None:
            name = str(one["name"]).replace("_", " ")
            point = Point(started, str(run["authkit"]), float(one["value"]))
            yield (f"load {run['profile']}: {name}", str(one["unit"])), point


def recorded() -> Path:
    """Return a recorded history: of a checkout, or the one inside the package.

    Raises:
        InvalidInput: neither is there.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[3] / "bench" / "history", here.parent / "history"):
        if folder.is_dir():
            return folder
    raise InvalidInput("no recorded history is part of this installation")
