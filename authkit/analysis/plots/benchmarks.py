"""Measurements over time: costs and load, one panel for each series, changes marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from authkit.analysis.picture import MAX_MARKS, WIDTH, Picture, finished, needs, nothing
from authkit.analysis.plots.encodings import counted_as, utc
from authkit.analysis.theme import BLUE, SKY, VERMILLION, ThemeName, theme

if TYPE_CHECKING:
    from pandas import DataFrame

_BLUE: dict[ThemeName, str] = {"light": BLUE, "dark": SKY}
_PANELS = 12
_COLUMNS = 2


def measured_over_time(
    points: DataFrame,
    changes: DataFrame,
    *,
    title: str = "What was measured, version by version",
    look: ThemeName = "light",
) -> Picture:
    """Draw each series in a panel of its own, with a rule where it changed for good.

    Series that changed come first, and no more than a dozen are drawn.

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
    drawn = latest[latest["series"].isin(panels)].assign(what="measured", ratio=None)
    marked = changes[changes["series"].isin(panels)].assign(what="changed", value=None)
    rows = drawn.astype({"ratio": "float64"})
    if not marked.empty:
        import pandas as pd

        rows = pd.concat([rows, marked.astype({"value": "float64"})], ignore_index=True)
    panel = alt.Chart().properties(width=WIDTH // _COLUMNS - 40, height=90)
    line = (
        panel.transform_filter("datum.what == 'measured'")
        .mark_line(point=alt.OverlayMarkDef(size=18), color=_BLUE[look])
        .encode(
            x=utc("started", titled=False),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            tooltip=["started:T", "revision:N", "value:Q"],
        )
    )
    rule = (
        panel.transform_filter("datum.what == 'changed'")
        .mark_rule(strokeDash=[4, 3], color=VERMILLION, strokeWidth=1.5)
        .encode(x="started:T", tooltip=["started:T", "revision:N", "ratio:Q"])
    )
    word = rule.mark_text(
        align="left", dx=4, baseline="top", color=VERMILLION, fontSize=10
    ).encode(y=alt.value(2), text=alt.Text("ratio:Q", format=".2f"))
    layers: Any = alt.layer(line, rule, word, data=rows)
    facets: alt.FacetChart = layers.facet(
        facet=alt.Facet("series:N", title=None, sort=panels), columns=_COLUMNS
    ).resolve_scale(y="independent", x="shared")
    said = (
        f"{counted_as(len(order), 'series', 'series')}, {len(panels)} drawn; "
        f"{counted_as(len(changes), 'change')}"
    )
    return finished(facets, rows, shown, title, said)
