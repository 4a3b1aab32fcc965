"""A failover as its clients saw it: how long their calls took, what each node was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from authkit.analysis.picture import WIDTH, Picture, finished, needs, nothing
from authkit.analysis.plots.encodings import counted_as
from authkit.analysis.theme import BLUE, GREY, ORANGE, VERMILLION, ThemeName, theme

if TYPE_CHECKING:
    from pandas import DataFrame

_MOST_BINS = 400
_REFUSED = "not acknowledged"
_SHAPES = ("circle", "square", "diamond", "cross")
# What a node can be, as `ClusterStatus` says it, with the colour of each.
_STATES = {"primary": BLUE, "replica": ORANGE, "down": GREY, "refused": VERMILLION}


def calls_over_time(
    calls: DataFrame, marks: DataFrame, *, look: ThemeName = "light"
) -> Picture:
    """Draw the longest call of every moment, by kind; a gap is a time without an end.

    Args:
        calls: `at_s` (when the call ended, seconds since the beginning), `ms` (how
            long it took), `kind`, `acknowledged`; what was not is drawn apart.
        marks: `at_s` and `what`: what was done to the servers.
        look: light or dark.
    """
    needs(calls, "at_s", "ms", "kind", "acknowledged")
    needs(marks, "at_s", "what")
    shown, title = theme(look), "How long calls took"
    if calls.empty:
        return nothing(shown, title, calls[["at_s", "ms", "kind"]])
    width = max(calls["at_s"].max() / _MOST_BINS, 0.02)
    refused = ~calls["acknowledged"].astype(bool)
    longest = (
        calls.assign(
            at_s=(calls["at_s"] // width) * width,
            kind=calls["kind"].mask(refused, _REFUSED),
        )
        .groupby(["at_s", "kind"], observed=True)
        .agg(longest_ms=("ms", "max"), calls=("ms", "size"))
        .reset_index()
    )
    kinds = sorted(set(longest["kind"]) - {_REFUSED})
    domain = [*kinds, *([_REFUSED] if refused.any() else [])]
    points = (
        alt.Chart(longest)
        .mark_point(filled=True, size=22, opacity=0.8)
        .encode(
            x=alt.X("at_s:Q", title="seconds"),
            y=alt.Y(
                "longest_ms:Q", title="longest call (ms)", scale=alt.Scale(type="log")
            ),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(
                    domain=domain,
                    range=[*shown.categories[: len(kinds)], VERMILLION],
                ),
            ),
            shape=alt.Shape(
                "kind:N",
                title=None,
                scale=alt.Scale(
                    domain=domain, range=[*_SHAPES[: len(kinds)], "triangle-down"]
                ),
            ),
            tooltip=["at_s:Q", "kind:N", "longest_ms:Q", "calls:Q"],
        )
        .properties(width=WIDTH, height=240)
    )
    worst = calls["ms"].max()
    said = (
        f"{counted_as(len(calls), 'call')}, the longest {worst:,.0f} ms;"
        f" {int(refused.sum()):,} {_REFUSED}"
    )
    return finished(
        alt.layer(points, *_rules(marks, shown.muted)), longest, shown, title, said
    )


def nodes_over_time(
    states: DataFrame, marks: DataFrame, *, look: ThemeName = "light"
) -> Picture:
    """Draw what each node was, to the clients: primary, replica, down or refused.

    Args:
        states: `at_s`, `node`, `state`, sampled often; runs of one state become a bar.
        marks: `at_s` and `what`: what was done to the servers.
        look: light or dark.
    """
    needs(states, "at_s", "node", "state")
    needs(marks, "at_s", "what")
    shown, title = theme(look), "What each node was, to its clients"
    if states.empty:
        return nothing(shown, title, states[["at_s", "node", "state"]])
    bars = _runs(states)
    domain = [state for state in _STATES if state in set(bars["state"])]
    lanes = (
        alt.Chart(bars)
        .mark_bar(height=18)
        .encode(
            x=alt.X("from_s:Q", title="seconds"),
            x2="to_s:Q",
            y=alt.Y("node:N", title=None),
            color=alt.Color(
                "state:N",
                title=None,
                scale=alt.Scale(
                    domain=domain, range=[_STATES[state] for state in domain]
                ),
            ),
            tooltip=["node:N", "state:N", "from_s:Q", "to_s:Q"],
        )
        .properties(width=WIDTH, height=alt.Step(34))
    )
    said = f"{counted_as(states['node'].nunique(), 'node')}, {len(bars)} states"
    return finished(
        alt.layer(lanes, *_rules(marks, shown.text)), bars, shown, title, said
    )


def _runs(states: DataFrame) -> DataFrame:
    """Join samples of one node that say the same, up to the next that does not."""
    ordered = states[states["state"].isin(list(_STATES))].sort_values(["node", "at_s"])
    changed = ordered["state"] != ordered.groupby("node")["state"].shift()
    runs = (
        ordered.assign(run=changed.cumsum())
        .groupby("run")
        .agg(node=("node", "first"), state=("state", "first"), from_s=("at_s", "min"))
    )
    end = ordered.groupby("node")["at_s"].max()
    following = runs.groupby("node")["from_s"].shift(-1)
    runs["to_s"] = following.fillna(runs["node"].map(end))
    return runs.reset_index(drop=True)


def _rules(marks: DataFrame, colour: str) -> tuple[alt.Chart, ...]:
    placed = pd.DataFrame(marks[["at_s", "what"]]).reset_index(drop=True)
    rules = (
        alt.Chart(placed)
        .mark_rule(strokeDash=[4, 3], color=colour)
        .encode(x="at_s:Q", tooltip=["what:N", "at_s:Q"])
    )
    # On two lines in turn: a promotion follows a kill within a second.
    words = [
        alt.Chart(placed.iloc[line::2])
        .mark_text(align="left", dx=4, dy=-4, baseline="top", color=colour, fontSize=10)
        .encode(x="at_s:Q", y=alt.value(2 + 12 * line), text="what:N")
        for line in range(2)
    ]
    return rules, *words
