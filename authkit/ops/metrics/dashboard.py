"""A dashboard for Grafana over these metrics.

The JSON is what Grafana 10 and later import: https://grafana.com/docs/grafana/latest/
visualizations/dashboards/build-dashboards/view-dashboard-json-model/ names its fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from authkit.ops.metrics.panels import OF, RED, ROWS, Panel, Words

_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it: JSON's values, with no host in it.

    It asks for a Prometheus as its data source, and for the jobs to show.
    """
    return {
        "uid": "authkit",
        "title": "authkit",
        "tags": ["authkit"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": [_failovers()]},
        "panels": list(_laid_out()),
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
        },
        {
            "name": "job",
            "label": "Job",
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": "label_values(authkit_writable, job)", "refId": "job"},
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "current": {"text": ["All"], "value": ["$__all"]},
        },
    ]


def _failovers() -> dict[str, Any]:
    return {
        "name": "Failovers",
        "enable": True,
        "iconColor": RED,
        "datasource": _SOURCE,
        "expr": f"max(changes(authkit_epoch{OF}[1m])) > 0",
        "titleFormat": "A later timeline",
    }


def _laid_out() -> Iterable[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in ROWS:
        number += 1
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        yield {
            "id": number, "type": "row", "title": title, "gridPos": place,
            "collapsed": False, "panels": [],
        }  # fmt: skip
        y, x, high = y + 1, 0, 0
        for panel in panels:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + high
            number, high = number + 1, 4 if panel.kind == "stat" else 8
            place = {"x": x, "y": y, "w": panel.width, "h": high}
            yield {"id": number, "gridPos": place, **_drawn(panel)}
            x += panel.width
        y += high


def _drawn(panel: Panel) -> dict[str, Any]:
    queries = [
        {"refId": chr(ord("A") + n), "datasource": _SOURCE, "expr": query}
        | {"legendFormat": legend or "__auto"}
        for n, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": _SOURCE,
        "targets": queries,
        "fieldConfig": {"defaults": _shown(panel), "overrides": []},
    }


def _shown(panel: Panel) -> dict[str, Any]:
    shown: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.kind == "stat":
        shown["decimals"] = 0
    if panel.kind != "timeseries":
        steps = [{"value": value, "color": colour} for value, colour in panel.steps]
        shown["color"] = {"mode": "thresholds"}
        shown["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.words:
        shown["mappings"] = [_mapping(panel.words)]
    return shown


def _mapping(words: Words) -> dict[str, Any]:
    return {
        "type": "value",
        "options": {
            str(value): {"text": word, "index": n}
            for n, (value, word) in enumerate(words)
        },
    }
