"""Measurements over time: costs and load, one panel for each series, changes marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from authkit.analysis.picture import MAX_MARKS, WIDTH, Picture, finished, needs, nothing
from authkit.analysis.plots.encodings import counted_as
from authkit.analysis.theme import BLUE, SKY, VERMILLION, ThemeName, theme

if TYPE_CHECKING:
    from pandas import DataFrame

_BLUE: dict[ThemeName, str] = {"light": BLUE, "dark": SKY}
_PANELS = 12
_COLUMNS = 2
# A revision of git is shortened as `git log --oneline` does it, a version is not.
_REVISION = r"^([0-9a-f]{7})[0-9a-f]+$"


def measured_over_time(
    points: DataFrame,
    changes: DataFrame,
    *,
    title: str = "What was measured, version by version",
    look: ThemeName = "light",
) -> Picture:
    """Draw each series in a panel of its own, with a rule where it changed for good.

    Versions stand side by side in the order in which they were first measured, however
    long lay between; the head of a panel says what became of its series. Series that
    changed come first, and no more than a dozen are drawn.

    Args:
        points: `started`, `series`, `revision`, `value`.
        changes: `started`, `series`, `revision`, `ratio` (of the means after and
            before).
        title: over the picture.
        look: light or dark.
    """
    needs(points, "started", "series", "revision", "value")
    needs(changes, "started", "series", "revision", "ratio")
    shown = theme(look)
    if points.empty:
        return nothing(shown, title, points[["started", "series", "value"]])
    changed = changes["series"].value_counts()
    order = sorted(points["series"].unique(), key=lambda s: (-changed.get(s, 0), s))
    panels = order[:_PANELS]
    latest = points.sort_values("started").groupby("series").tail(MAX_MARKS // _PANELS)
    latest = latest[latest["series"].isin(panels)]
    heads = {name: _head(name, latest, changes) for name in panels}
    drawn = latest.assign(what="measured", ratio=None)
    marked = changes[changes["series"].isin(panels)].assign(what="changed", value=None)
    rows = drawn.astype({"ratio": "float64"})
    if not marked.empty:
        import pandas as pd

        rows = pd.concat([rows, marked.astype({"value": "float64"})], ignore_index=True)
    rows = rows.assign(
        version=rows["revision"].str.replace(_REVISION, r"\1", regex=True),
        head=rows["series"].map(heads),
    )
    versions: list[str] = list(rows.sort_values("started")["version"].unique())
    panel = alt.Chart().properties(width=WIDTH // _COLUMNS - 40, height=80)
    version = alt.X(
        "version:O",
        sort=versions,
        title=None,
        axis=alt.Axis(labelAngle=0, labelOverlap=True),
    )
    measured = panel.transform_filter("datum.what == 'measured'").encode(x=version)
    value = alt.Scale(zero=False, padding=12)
    line = measured.mark_line(color=_BLUE[look]).encode(
        y=alt.Y("mean(value):Q", title=None, scale=value, axis=alt.Axis(tickCount=3))
    )
    dots = measured.mark_circle(size=40, opacity=0.8, color=_BLUE[look]).encode(
        y=alt.Y("value:Q", title=None), tooltip=["started:T", "revision:N", "value:Q"]
    )
    rule = (
        panel.transform_filter("datum.what == 'changed'")
        .mark_rule(strokeDash=[4, 3], color=VERMILLION, strokeWidth=1.5)
        .encode(x=version, tooltip=["started:T", "revision:N", "ratio:Q"])
    )
    word = rule.mark_text(
        align="left", dx=4, baseline="top", color=VERMILLION, fontSize=10
    ).encode(y=alt.value(2), text=alt.Text("ratio:Q", format=".2f"))
    layers: Any = alt.layer(line, dots, rule, word, data=rows)
    facets: alt.FacetChart = layers.facet(
        facet=alt.Facet("head:N", title=None, sort=list(heads.values())),
        columns=_COLUMNS,
        align="all",
    ).resolve_scale(y="independent", x="shared")
    said = (
        f"{counted_as(len(order), 'series', 'series')}, {len(panels)} drawn; "
        f"{counted_as(len(changes), 'change')}"
    )
    return finished(facets, rows, shown, title, said)


def _head(name: str, points: DataFrame, changes: DataFrame) -> str:
    """Return what the panel of a series is called: its last value, and whether kept."""
    own = points[points["series"] == name]
    ratio = changes.loc[changes["series"] == name, "ratio"]
    if len(ratio):
        became = f"changed for good: \N{MULTIPLICATION SIGN}{ratio.prod():.2f}"
    elif own["revision"].nunique() == 1:
        became = "one version so far"
    elif own["value"].nunique() == 1:
        became = "the same in every version"
    else:
        became = "no lasting change"
    return f"{name}: {own['value'].iloc[-1]:,.4g}, {became}"
