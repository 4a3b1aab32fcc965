"""The audit chain, checked: how far each shard holds, and where it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from authkit.analysis.picture import WIDTH, AnyChart, Picture, finished, nothing
from authkit.analysis.plots.encodings import counted_as
from authkit.analysis.theme import Theme, ThemeName, theme

if TYPE_CHECKING:
    from authkit.relational.chain import Verification

_HOLDS = "holds"
_BROKEN = "first broken link"


def audit_chain(verification: Verification, *, look: ThemeName = "light") -> Picture:
    """Draw what a verification found: one bar for each shard, a cross where it breaks.

    A check ends at the first broken link: what comes after it was not looked at, and
    is not drawn.

    Args:
        verification: as `uow.audit.verify()` returns it.
        look: light or dark.
    """
    shown = theme(look)
    broken = verification.broken
    title = "The audit chain holds" if broken is None else "The audit chain is broken"
    rows = [
        {"shard": head.shard, "entries": head.seq, "state": _HOLDS, "entry": head.seq}
        for head in verification.heads
    ]
    if broken is not None:
        rows.append(
            {
                "shard": broken.shard,
                "entries": 0,
                "state": _BROKEN,
                "entry": broken.seq,
            }
        )
    found = pd.DataFrame(rows, columns=["shard", "entries", "state", "entry"])
    if found.empty:
        return nothing(shown, title, found)
    said = (
        f"{counted_as(verification.entries, 'entry', 'entries')} in"
        f" {counted_as(len(verification.heads), 'shard')},"
        " each linked to the one before it"
        if broken is None
        else str(broken)
    )
    return finished(_chart(found, shown), found, shown, title, said)


def _chart(found: pd.DataFrame, look: Theme) -> AnyChart:
    shards = alt.Y("shard:O", title="shard", axis=alt.Axis(labelAngle=0))
    state = alt.Color(
        "state:N",
        title=None,
        scale=alt.Scale(
            domain=[_HOLDS, _BROKEN],
            range=[look.colour_of("succeeded"), look.colour_of("denied")],
        ),
        legend=alt.Legend(symbolType="square"),
    )
    tips = ["shard:O", "entry:Q", "state:N"]
    bars = (
        alt.Chart(found)
        .transform_filter(alt.datum.state == _HOLDS)
        .mark_bar(height=12)
        .encode(
            x=alt.X("entries:Q", title="entries that hold", axis=alt.Axis(format="d")),
            y=shards,
            color=state,
            tooltip=tips,
        )
    )
    crosses = (
        alt.Chart(found)
        .transform_filter(alt.datum.state == _BROKEN)
        .mark_point(shape="cross", angle=45, size=220, filled=True)
        .encode(x="entry:Q", y=shards, color=state, tooltip=tips)
    )
    height = 22 * max(2, found["shard"].nunique())
    return (bars + crosses).properties(width=WIDTH - 60, height=height)
