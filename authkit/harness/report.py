"""One self-contained HTML file that tells a load run: pictures first, then numbers.

`render` is a function of a recorded value: it asks no database and no clock, so a run
that was stored can be drawn again. The file needs no network, prints, and follows the
reader's light or dark.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from authkit.errors import InvalidInput
from authkit.figures import Figure, machine
from authkit.harness import activity, charts, series, theme
from authkit.harness.database import OTHER, DatabaseSide
from authkit.harness.phases import Mark, Phase, roles
from authkit.harness.recording import Recording
from authkit.harness.summary import COUNTED

_TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")


@dataclass(frozen=True, slots=True)
class Tile:
    """One headline number: what it is, its value with unit, and a word on it.

    `holds` colours it: None where there is no goal.
    """

    label: str
    value: str
    note: str = ""
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture made elsewhere, as SVG for a light page and for a dark one."""

    caption: str
    light: str
    dark: str

    @property
    def sources(self) -> tuple[str, str]:
        """Both as data URLs: as images of their own they cannot disturb the page."""
        return (_data_url(self.light), _data_url(self.dark))


@dataclass(frozen=True, slots=True)
class Story:
    """Everything a report shows of one run.

    `span` is its start and end in wall-clock seconds, `outages` those of the longest
    time without an answer that each fault caused; `start_roles` the role of each
    node at its start; `settings` what was run, in words; `drawings` are shown below.
    `invalid` says why the run proves nothing; None where it does.
    """

    title: str
    summary: str
    recording: Recording
    span: tuple[float, float]
    tiles: tuple[Tile, ...] = ()
    figures: tuple[Figure, ...] = ()
    marks: tuple[Mark, ...] = ()
    phases: tuple[Phase, ...] = ()
    outages: tuple[tuple[float, float], ...] = ()
    start_roles: Mapping[str, str] = field(default_factory=dict[str, str])
    database: DatabaseSide = field(default_factory=DatabaseSide)
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    drawings: tuple[Drawing, ...] = ()
    invalid: str | None = None


def with_short_names(story: Story) -> Story:
    """Name nodes by their port alone where all are on one host."""
    nodes = set(story.start_roles)
    if len({node.rpartition(":")[0] for node in nodes}) != 1:
        return story
    short = {node: f":{node.rpartition(':')[2]}" for node in nodes}
    database = story.database
    return replace(
        story,
        recording=story.recording.renamed(short),
        marks=tuple(
            replace(mark, node=short.get(mark.node, mark.node)) for mark in story.marks
        ),
        start_roles={short[node]: role for node, role in story.start_roles.items()},
        database=replace(
            database,
            statements=tuple(
                replace(found, node=short.get(found.node, found.node))
                for found in database.statements
            ),
            lag=tuple(
                replace(found, node=short.get(found.node, found.node))
                for found in database.lag
            ),
            checkpoints=tuple(
                replace(found, node=short.get(found.node, found.node))
                for found in database.checkpoints
            ),
        ),
    )


def render(story: Story) -> str:
    """Return the report as HTML."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["ms"] = milliseconds
    drawn = {name: Markup(theme.svg(spec)) for name, spec in _specs(story).items()}  # noqa: S704 # made by our own charts from names and numbers
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        story=story,
        charts=drawn,
        percentiles=series.percentiles(story.recording, story.phases),
        visits=series.visits(story.recording),
        errors=series.error_counts(story.recording),
        generator=series.lag_percentiles(story.recording),
        open_loop=story.recording.loop == "open",
        statements=_statements(story.database),
        checkpoints=story.database.checkpoints,
        beside=_beside(story),
        started=datetime.fromtimestamp(story.span[0], UTC),
        machine=machine(),
    )


def write(story: Story, path: Path) -> Path:
    """Write the report to a file and return its path.

    Raises:
        InvalidInput: the file cannot be written.
    """
    text = render(story)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InvalidInput(f"cannot write {path}: {exc.strerror}") from exc
    return path


def _specs(story: Story) -> dict[str, theme.Spec]:
    """Return the charts that have something to show: a panel is never empty."""
    start, end = story.span
    # A fault that was under way at the end is undone after it.
    marks = tuple(mark for mark in story.marks if mark.at_s <= end)
    frame = charts.Frame(
        seconds=end - start,
        start_s=start,
        marks=marks,
        phases=story.phases,
        slot_s=story.recording.slot_s,
    )
    specs: dict[str, theme.Spec] = {}
    lanes = [
        {
            "node": node,
            "role": role,
            "from": max(0.0, frame.since_start(since)),
            "to": frame.since_start(until),
        }
        for node, role, since, until in roles(
            (Mark(start, "started"), *marks), dict(story.start_roles), end
        )
    ]
    for outage in story.outages:
        since, until = map(frame.since_start, outage)
        lanes.append(
            {
                "node": "no answer",
                "role": "down",
                "from": since,
                "to": until,
                "text": f"{until - since:.2f} s",
            }
        )
    if lanes:
        specs["timeline"] = charts.timeline(frame, lanes)
    what = "response time" if story.recording.loop == "open" else "service time"
    latency = series.latency(story.recording, start)
    if latency:
        specs["latency"] = charts.latency(frame, latency, what)
        specs["throughput"] = charts.stacked(
            frame,
            series.folded(series.throughput(story.recording, start), "operation"),
            "operation",
            "successful operations (1/s)",
        )
    waited = series.waits(story.recording, start)
    if waited:
        specs["waits"] = charts.stacked(
            frame,
            series.folded(waited, "operation"),
            "operation",
            "calls that waited (1/s)",
        )
    failed = series.errors(story.recording, start)
    if failed:
        specs["errors"] = charts.stacked(
            frame, failed, "error", "failed operations (1/s)", theme.PALETTE[::-1]
        )
    active = activity.over_time(
        story.database.waits, start, end, max(0.5, (end - start) / series.POINTS)
    )
    if any(row["per_s"] for row in active):
        specs["active"] = charts.stacked(frame, active, "event", "active connections")
    behind = [
        {
            "t": frame.since_start(sample.at_s),
            "node": sample.node,
            "kb": round(sample.behind_bytes / 1024, 3),
        }
        for sample in story.database.lag
        if start <= sample.at_s <= end
    ]
    if behind:
        specs["lag"] = charts.lag(frame, behind)
    return specs


def _beside(story: Story) -> list[dict[str, Any]]:
    """Return what happened beside the calls, by phase; none where nothing did."""
    rows: list[dict[str, Any]] = []
    for phase in story.phases:
        cell = story.recording.select(None, phase.holds)
        wait = cell.wait.percentiles_ns((99.0,))
        rows.append(
            {
                "phase": phase.title,
                "calls": cell.calls,
                "errors": cell.failed.count / cell.calls if cell.calls else None,
                "waits": cell.wait.count,
                "wait_p99": wait[0] / 1e6 if wait else None,
                **{
                    what: story.recording.counted(what, phase.holds) for what in COUNTED
                },
            }
        )
    return rows


def _statements(side: DatabaseSide) -> Sequence[dict[str, Any]]:
    return [
        {
            "node": found.node,
            "operation": found.operation,
            "calls": found.calls,
            "mean": found.total_ms / found.calls if found.calls else None,
            "total_s": found.total_ms / 1000,
            "rows": found.rows / found.calls if found.calls else 0.0,
            "hit": found.blocks_hit / found.calls if found.calls else 0.0,
            "read": found.blocks_read / found.calls if found.calls else 0.0,
            "wal": found.wal_bytes / found.calls if found.calls else 0.0,
        }
        for found in sorted(
            side.statements, key=lambda s: (s.operation == OTHER, -s.total_ms)
        )
    ]


def _data_url(svg: str) -> str:
    encoded = b64encode(svg.encode()).decode("ascii")
    return f"data:image/svg+xml;base64,{encoded}"


def _number(value: float | None) -> str:
    """Write a number with thin spaces between its thousands; a dash for None."""
    if value is None:
        return "–"  # noqa: RUF001 # a dash, as tables write nothing
    if isinstance(value, float):
        text = f"{value:.3g}" if abs(value) < 10 else f"{value:,.1f}"
    else:
        text = f"{value:,}"
    return text.replace(",", "\u202f")


def milliseconds(value: float | None) -> str:
    """Write milliseconds to three significant digits; a dash for None."""
    if value is None:
        return "–"  # noqa: RUF001 # the same
    if value >= 100:
        return _number(round(value))
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"
