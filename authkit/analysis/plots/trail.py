"""The audit trail as a picture: what was done when, by whom, and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import altair as alt

from authkit.analysis.picture import WIDTH, Picture, finished, needs, nothing
from authkit.analysis.plots.encodings import (
    counted_as,
    entries_size,
    outcome_colour,
    outcome_shape,
    utc,
)
from authkit.analysis.plots.time import bin_for
from authkit.analysis.theme import ThemeName, theme
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

_MOST_LANES = 20
_MOST_POINTS = 2_000


def audit_timeline(
    audit: DataFrame,
    *,
    lanes: Literal["action", "actor", "target"] = "action",
    look: ThemeName = "light",
) -> Picture:
    """Draw the entries of an audit trail in lanes of actions, actors or targets.

    Entries of one lane, outcome and time are one mark, the larger the more they are.
    Of more than 2,000 entries the times are rounded down to bins, 400 at most.

    Args:
        audit: with `at`, `actor`, `action`, `outcome` and `target`, a row for each
            entry, as `frames.audit()` returns it; masked or clear.
        lanes: what each row of the picture is of; the twenty busiest are drawn, in the
            order in which they first occur.
        look: light or dark.

    Returns:
        The chart and its frame, one row for each mark: `at` (UTC), `lane`, `outcome`,
        `entries`, `actions`, `actors` (counts), and the first actor, action and target.

    Raises:
        InvalidInput: a column is missing, or `lanes` is none of the three.
    """
    if lanes not in {"action", "actor", "target"}:
        raise InvalidInput("lanes is action, actor or target")
    needs(audit, "at", "actor", "action", "outcome", "target")
    title = f"Audit trail by {lanes}"
    if audit.empty:
        return nothing(theme(look), title, audit[["at", "action", "outcome"]])
    busiest = audit[lanes].value_counts().index[:_MOST_LANES]
    told = audit[audit[lanes].isin(busiest)]
    if len(told) > _MOST_POINTS:
        step, _ = bin_for(told["at"])
        told = told.assign(at=told["at"].dt.floor(step))
    keys = ["at", lanes, "outcome"]
    counted = (
        told.groupby(keys, observed=True)
        .agg(
            entries=("action", "size"),
            actions=("action", "nunique"),
            actors=("actor", "nunique"),
            actor=("actor", "first"),
            target=("target", "first"),
            action=("action", "first"),
        )
        .drop(columns=lanes, errors="ignore")
        .reset_index()
    )
    counted["lane"] = counted[lanes].map(_short)
    shown = theme(look)
    order = list(counted.groupby("lane")["at"].min().sort_values().index)
    chart = (
        alt.Chart(counted)
        .mark_point(filled=True, opacity=0.75)
        .encode(
            x=utc("at"),
            y=alt.Y("lane:N", sort=order, title=lanes),
            color=outcome_colour(counted["outcome"], shown),
            shape=outcome_shape(counted["outcome"]),
            size=entries_size(int(counted["entries"].max()), "entries"),
            tooltip=[
                alt.Tooltip("at:T", title="time"),
                "action:N",
                "actor:N",
                "target:N",
                "outcome:N",
                "entries:Q",
            ],
        )
        .properties(width=WIDTH - 120, height=24 * max(3, len(order)))
    )
    refused = int((audit["outcome"] == "denied").sum())
    said = (
        f"{counted_as(len(audit), 'entry', 'entries')} by"
        f" {counted_as(audit['actor'].nunique(), 'actor')};"
        f" {refused:,} refused"
    )
    return finished(chart, counted, shown, title, said)


def _short(name: str) -> str:
    kind, found, rest = name.partition(":")
    return f"{kind}:…{rest[-8:]}" if found and len(rest) > 12 else name
