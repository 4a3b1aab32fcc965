"""From which country to which: successive logins of the same people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from authkit.analysis.picture import Picture, finished, needs, nothing
from authkit.analysis.plots.encodings import counted_as, quantity_scale
from authkit.analysis.theme import ThemeName, theme
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

_STEP = 26
_MOST = 40


def travel_matrix(
    attempts: DataFrame,
    *,
    within: str = "12h",
    countries: int = 16,
    look: ThemeName = "light",
) -> Picture:
    """Draw how often a success in one country is followed by one in another.

    A matrix and no map: it needs no map data, and small countries are as large as any.

    Args:
        attempts: `user`, `country`, `outcome`, `occurred_at`.
        within: the longest pause between the two, as pandas writes it.
        countries: how many countries, the busiest first; at most 40.
        look: light or dark.

    Raises:
        InvalidInput: the pause cannot be read, or there are too many countries.
    """
    needs(attempts, "user", "country", "outcome", "occurred_at")
    if not 1 <= countries <= _MOST:
        raise InvalidInput(f"countries must be between 1 and {_MOST}")
    try:
        pause = pd.Timedelta(within)
    except ValueError as exc:
        raise InvalidInput(f"{within!r} is no length of time, like 12h") from exc
    title = "From country to country"
    right = attempts[
        (attempts["outcome"] == "succeeded")
        & attempts["user"].notna()
        & attempts["country"].notna()
    ].sort_values(["user", "occurred_at"])
    before = right.groupby("user", observed=True)[["country", "occurred_at"]].shift()
    moved = right.assign(origin=before["country"], since=before["occurred_at"])
    moved = moved[
        moved["origin"].notna()
        & (moved["origin"] != moved["country"])
        & (moved["occurred_at"] - moved["since"] <= pause)
    ]
    if moved.empty:
        return nothing(theme(look), title, moved[["origin", "country"]])
    ends = pd.concat([moved["origin"], moved["country"]])
    order = [str(code) for code in ends.value_counts().index[:countries]]
    shown_moves = moved[moved["origin"].isin(order) & moved["country"].isin(order)]
    cells = (
        shown_moves.groupby(["origin", "country"], observed=True)
        .agg(journeys=("user", "size"), people=("user", "nunique"))
        .reset_index()
    )
    shown = theme(look)
    x = alt.X("country:N", sort=order, title="to", axis=alt.Axis(labelAngle=0))
    y = alt.Y("origin:N", sort=order, title="from")
    squares = (
        alt.Chart(cells)
        .mark_rect(stroke=shown.background, strokeWidth=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "journeys:Q",
                title="journeys",
                scale=quantity_scale(shown, log=True),
                legend=alt.Legend(tickCount=4, format="d"),
            ),
            tooltip=["origin:N", "country:N", "journeys:Q", "people:Q"],
        )
    )
    chart = squares.properties(width=alt.Step(_STEP), height=alt.Step(_STEP))
    said = (
        f"{counted_as(len(moved), 'journey')} of"
        f" {counted_as(moved['user'].nunique(), 'user')} within {within};"
        f" {len(order)} of {ends.nunique()} countries"
    )
    return finished(chart, cells, shown, title, said)
