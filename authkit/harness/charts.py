"""The pictures of a load report, as Vega-Lite specifications.

Plain values, made from rows of `series`; `theme.svg` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from authkit.harness.phases import DURING, Mark, Phase
from authkit.harness.theme import INK, PALETTE, ROLE_COLOURS, SHADE, SOFT, Spec

Rows = Sequence[dict[str, Any]]

_WIDTH: Final = 850
_LABELS: Final = 62  # room for the labels of the y axis: plots then share their x

_WORDS: Final = {
    "killed": "killed",
    "promoted": "promoted",
    "writing": "writes again",
    "rejoined": "rejoined",
    "streaming": "in sync again",
    "stopped": "stopped",
    "restarted": "runs again",
    "frozen": "frozen",
    "thawed": "thawed",
    "paused": "replay paused",
    "resumed": "replay resumed",
    "delayed": "replay delayed",
    "lifted": "delay lifted",
    "locked": "table locked",
    "unlocked": "table unlocked",
    "dropped": "connections dropped",
}
_WHICH: Final[Spec] = {
    "field": "which",
    "type": "nominal",
    "title": None,
    "scale": {"domain": ["median", "99th percentile"], "range": [[1, 0], [3, 3]]},
    "legend": {"symbolType": "stroke", "symbolStrokeColor": SOFT, "symbolSize": 220},
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What every chart of one run shares: its length, what happened, its phases."""

    seconds: float
    start_s: float
    marks: tuple[Mark, ...] = ()
    phases: tuple[Phase, ...] = ()
    slot_s: float = 1.0

    def since_start(self, at_s: float) -> float:
        """Return wall-clock seconds as seconds of the run."""
        return round(at_s - self.start_s, 3)


def timeline(frame: Frame, roles: Rows) -> Spec:
    """Return which role each node had when, with what happened written above."""
    happened = [mark for mark in frame.marks if mark.what in _WORDS]
    notes = [
        {
            "t": frame.since_start(mark.at_s),
            "text": f"{mark.node} {_WORDS[mark.what]}".strip(),
            "row": 2 - at % 3,
            "align": "right"
            if frame.since_start(mark.at_s) > 0.8 * frame.seconds
            else "left",
        }
        for at, mark in enumerate(sorted(happened, key=lambda mark: mark.at_s))
    ]
    labels = [
        {
            "mark": {
                "type": "text",
                "align": side,
                "dx": shift,
                "baseline": "middle",
                "color": INK,
                "fontSize": 11,
            },
            "transform": [{"filter": f"datum.align == '{side}'"}],
            "encoding": {
                "x": _time(frame, axis=False),
                "y": {"field": "row", "type": "ordinal", "axis": None, "sort": [2, 1]},
                "text": {"field": "text"},
            },
        }
        for side, shift in (("left", 5), ("right", -5))
    ]
    words: Spec = {
        "width": _WIDTH,
        "height": 48,
        "data": {"values": notes},
        "layer": [_rules(frame, axis=False), *labels],
    }
    lanes: Spec = {
        "width": _WIDTH,
        "height": 26 * max(1, len({row["node"] for row in roles})),
        "layer": [
            {
                "data": {"values": list(roles)},
                "mark": {"type": "bar", "height": 16, "cornerRadius": 2},
                "encoding": {
                    "x": _time(frame, field="from"),
                    "x2": {"field": "to"},
                    "y": {
                        "field": "node",
                        "type": "nominal",
                        "title": None,
                        "axis": {"minExtent": _LABELS, "grid": False},
                    },
                    "color": _colour(
                        "role", list(ROLE_COLOURS), list(ROLE_COLOURS.values())
                    ),
                },
            },
            {
                "data": {"values": [row for row in roles if "text" in row]},
                "mark": {"type": "text", "align": "left", "dx": 4, "color": INK},
                "encoding": {
                    "x": _time(frame, field="to"),
                    "y": {"field": "node", "type": "nominal"},
                    "text": {"field": "text"},
                },
            },
            _rules(frame),
        ],
    }
    return {"vconcat": [words, lanes] if notes else [lanes], "spacing": 0}


def latency(frame: Frame, rows: Rows, what: str) -> Spec:
    """Return one panel for each operation: median and p99 over time, by node."""
    values = [row["ms"] for row in rows if row["ms"]]
    bounds = [min(values, default=0.1), max(values, default=10.0)]
    nodes = sorted({row["node"] for row in rows})
    operations = sorted({row["operation"] for row in rows})
    panels = [
        {
            "width": _WIDTH,
            "height": 96,
            "title": {"text": operation, "anchor": "start", "offset": 4},
            "layer": [
                *_shade(frame, title=operation == operations[-1]),
                {
                    "data": {
                        "values": [r for r in rows if r["operation"] == operation]
                    },
                    "encoding": {
                        "x": _time(frame, title=operation == operations[-1]),
                        "y": {
                            "field": "ms",
                            "type": "quantitative",
                            "title": f"{what} (ms)",
                            "scale": {"type": "log", "domain": bounds, "nice": True},
                            "axis": {"minExtent": _LABELS, "tickCount": 4},
                        },
                        "color": _colour("node", nodes, PALETTE[: len(nodes)]),
                    },
                    "layer": [
                        {"mark": {"type": "point", "size": 6, "filled": True}},
                        {
                            "mark": {"type": "line", "strokeWidth": 1.6, "clip": True},
                            "encoding": {"strokeDash": _WHICH},
                        },
                    ],
                },
                _rules(frame, title=operation == operations[-1]),
            ],
        }
        for operation in operations
    ]
    return {"vconcat": panels, "spacing": 8}


def stacked(
    frame: Frame, rows: Rows, field: str, title: str, colours: Sequence[str] = PALETTE
) -> Spec:
    """Return bars of `per_s` from `t` to `t2`, stacked by a field."""
    names = sorted({row[field] for row in rows})
    repeated = [colours[at % len(colours)] for at in range(len(names))]
    return {
        "width": _WIDTH,
        "height": 150,
        "layer": [
            *_shade(frame),
            {
                "data": {"values": list(rows)},
                "mark": {
                    "type": "bar",
                    "opacity": 0.9,
                    "binSpacing": 0,
                    "clip": True,
                },
                "encoding": {
                    "x": {**_time(frame), "bin": "binned"},
                    "x2": {"field": "t2"},
                    "y": {
                        "field": "per_s",
                        "type": "quantitative",
                        "stack": "zero",
                        "title": title,
                        "axis": {"minExtent": _LABELS, "tickCount": 5},
                    },
                    "color": _colour(field, names, repeated),
                },
            },
            _rules(frame),
        ],
    }


def lag(frame: Frame, rows: Rows) -> Spec:
    """Return how far each replica was behind over time, in kilobytes of WAL."""
    nodes = sorted({row["node"] for row in rows})
    return {
        "width": _WIDTH,
        "height": 110,
        "layer": [
            *_shade(frame),
            {
                "data": {"values": list(rows)},
                "mark": {
                    "type": "line",
                    "strokeWidth": 1.6,
                    "interpolate": "step-after",
                    "clip": True,
                },
                "encoding": {
                    "x": _time(frame),
                    "y": {
                        "field": "kb",
                        "type": "quantitative",
                        "title": "not yet replayed (kB)",
                        "scale": {"type": "symlog"},
                        "axis": {"minExtent": _LABELS, "tickCount": 4},
                    },
                    "color": _colour("node", nodes, PALETTE[: len(nodes)]),
                },
            },
            _rules(frame),
        ],
    }


def _time(
    frame: Frame, *, field: str = "t", title: bool = True, axis: bool = True
) -> Spec:
    return {
        "field": field,
        "type": "quantitative",
        "title": "seconds since the start" if title else None,
        "scale": {"domain": [0, round(frame.seconds, 2)], "nice": False},
        "axis": {"labels": title, "grid": False, "tickCount": 10} if axis else None,
    }


def _colour(field: str, names: Sequence[str], colours: Sequence[str]) -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(names), "range": list(colours)},
        "legend": {"columns": 4},
    }


def _rules(frame: Frame, *, title: bool = True, axis: bool = True) -> Spec:
    return {
        "data": {
            "values": [
                {"t": frame.since_start(mark.at_s)}
                for mark in frame.marks
                if mark.what in _WORDS
            ]
        },
        "mark": {"type": "rule", "color": SOFT, "strokeDash": [2, 2], "opacity": 0.8},
        "encoding": {"x": _time(frame, title=title, axis=axis)},
    }


def _shade(frame: Frame, *, title: bool = True) -> list[Spec]:
    spans = [
        {
            "from": max(0.0, frame.since_start(phase.first * frame.slot_s)),
            "to": min(frame.seconds, frame.since_start(phase.end * frame.slot_s)),
        }
        for phase in frame.phases
        if phase.name == DURING and phase.end > phase.first
    ]
    if not spans:
        return []
    return [
        {
            "data": {"values": spans},
            "mark": {"type": "rect", "color": SHADE, "opacity": 1},
            "encoding": {
                "x": _time(frame, field="from", title=title),
                "x2": {"field": "to"},
            },
        }
    ]
