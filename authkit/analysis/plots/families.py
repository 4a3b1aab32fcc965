"""Families of tokens: what descends from one login, and what ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from authkit.analysis.picture import WIDTH, Picture, finished, needs, nothing
from authkit.analysis.plots.encodings import counted_as, utc
from authkit.analysis.theme import ThemeName, theme

if TYPE_CHECKING:
    from pandas import DataFrame

_MOST_FAMILIES = 30
_MOST_TOKENS = 2_000
_STATES = ("in use", "exchanged", "revoked")
_SHAPES = ("circle", "triangle-right", "cross")


def session_families(tokens: DataFrame, *, look: ThemeName = "light") -> Picture:
    """Draw each family of refresh tokens as a chain: a token, its successor, its end.

    A family that was revoked because a token came twice is where somebody had a copy.

    Args:
        tokens: as `frames.tokens()` returns them; the thirty families that were
            touched last are drawn.
        look: light or dark.
    """
    needs(tokens, "created_at", "family", "kind", "generation", "rotated_at")
    needs(tokens, "revoked_at", "revoke_reason")
    title = "Refresh tokens by family"
    shown = theme(look)
    refresh = tokens[tokens["kind"] == "refresh"]
    if refresh.empty:
        return nothing(shown, title, refresh[["created_at", "family", "generation"]])
    last = refresh.groupby("family")["created_at"].max().sort_values()
    families = list(last.index[-_MOST_FAMILIES:])
    told = refresh[refresh["family"].isin(families)]
    told = told.sort_values(["created_at", "generation"]).tail(_MOST_TOKENS)
    points = pd.DataFrame(
        {
            "family": told["family"],
            "lane": "…" + told["family"].str[-8:],
            "generation": told["generation"].astype("int64"),
            "at": told["created_at"],
            "to": told["rotated_at"].fillna(told["revoked_at"]),
            "state": [
                _STATES[1 if exchanged else 2 if revoked else 0]
                for exchanged, revoked in zip(
                    told["rotated_at"].notna(), told["revoked_at"].notna(), strict=True
                )
            ],
            "reason": told["revoke_reason"].fillna(""),
        }
    ).reset_index(drop=True)
    points["to"] = points["to"].fillna(points["at"])
    order = list(points.groupby("lane")["at"].min().sort_values().index)
    lane = alt.Y("lane:N", sort=order, title="family")
    domain = [state for state in _STATES if state in set(points["state"])]
    colours: dict[str, str] = {
        "in use": shown.colour_of("succeeded"),
        "exchanged": shown.muted,
        "revoked": shown.accent,
    }
    shapes: dict[str, str] = dict(zip(_STATES, _SHAPES, strict=True))
    chain = (
        alt.Chart(points)
        .mark_rule(strokeWidth=2, color=shown.muted, opacity=0.7)
        .encode(x=utc("at"), x2="to:T", y=lane)
    )
    marks = (
        alt.Chart(points)
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            x=utc("at"),
            y=lane,
            color=alt.Color(
                "state:N",
                title="token",
                scale=alt.Scale(domain=domain, range=[colours[s] for s in domain]),
            ),
            shape=alt.Shape(
                "state:N",
                title="token",
                scale=alt.Scale(domain=domain, range=[shapes[s] for s in domain]),
            ),
            tooltip=[
                alt.Tooltip("at:T", title="made"),
                "family:N",
                "generation:Q",
                "state:N",
                "reason:N",
            ],
        )
    )
    chart = alt.layer(chain, marks).properties(
        width=WIDTH - 120, height=24 * max(3, len(order))
    )
    reused = tokens.loc[tokens["revoke_reason"] == "token-reused", "family"].nunique()
    said = (
        f"{counted_as(len(points), 'token')} of"
        f" {counted_as(len(order), 'family', 'families')}; {reused:,} ended because a"
        " token came twice"
    )
    return finished(chart, points, shown, title, said)
