"""When: attempts over time, and over the hours of the week."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from authkit.analysis.picture import WIDTH, Picture, finished, needs, nothing
from authkit.analysis.plots.encodings import outcome_colour, quantity_scale, utc
from authkit.analysis.theme import OUTCOMES, ThemeName, theme

if TYPE_CHECKING:
    from pandas import DataFrame

_BINS: tuple[tuple[str, str], ...] = (
    ("1min", "minute"),
    ("5min", "5 minutes"),
    ("15min", "15 minutes"),
    ("1h", "hour"),
    ("3h", "3 hours"),
    ("6h", "6 hours"),
    ("1D", "day"),
    ("7D", "week"),
    ("28D", "4 weeks"),
)
_MOST_BINS = 400
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def bin_for(times: pd.Series[pd.Timestamp]) -> tuple[pd.Timedelta, str]:
    """Return the smallest bin of which no more than 400 cover the times."""
    span = times.max() - times.min()
    for width, words in _BINS:
        step = pd.Timedelta(width)
        if span / step <= _MOST_BINS:
            return step, words
    return pd.Timedelta(_BINS[-1][0]), _BINS[-1][1]


def attempts_over_time(attempts: DataFrame, *, look: ThemeName = "light") -> Picture:
    """Draw how many attempts there were, by outcome; the bin fits the window.

    Args:
        attempts: `occurred_at` and `outcome`, as `frames.attempts()` returns them.
        look: light or dark.
    """
    needs(attempts, "occurred_at", "outcome")
    title = "Login attempts over time"
    if attempts.empty:
        return nothing(theme(look), title, attempts[["occurred_at", "outcome"]])
    step, words = bin_for(attempts["occurred_at"])
    counted = (
        attempts.assign(begin=attempts["occurred_at"].dt.floor(step))
        .groupby(["begin", "outcome"], observed=True)
        .size()
        .rename("attempts")
        .reset_index()
    )
    counted["end"] = counted["begin"] + step
    counted["order"] = counted["outcome"].map({o: i for i, o in enumerate(OUTCOMES)})
    counted = counted.sort_values(["begin", "order"], ignore_index=True)
    counted["top"] = counted.groupby("begin")["attempts"].cumsum()
    counted["bottom"] = counted["top"] - counted["attempts"]
    chart = (
        alt.Chart(counted)
        .mark_rect()
        .encode(
            x=utc("begin"),
            x2="end:T",
            y=alt.Y("bottom:Q", title=f"attempts per {words}"),
            y2="top:Q",
            color=outcome_colour(counted["outcome"], theme(look)),
            tooltip=[
                alt.Tooltip("begin:T", title="from"),
                alt.Tooltip("outcome:N"),
                alt.Tooltip("attempts:Q", format=","),
            ],
        )
        .properties(width=WIDTH, height=260)
    )
    share = (attempts["outcome"] == "succeeded").mean()
    said = f"{len(attempts):,} attempts, {share:.0%} succeeded"
    return finished(chart, counted, theme(look), title, said)


def weekday_hours(
    attempts: DataFrame, *, tz: str = "UTC", look: ThemeName = "light"
) -> Picture:
    """Draw the attempts of each hour of the week as a heat map.

    People keep office hours; programs do not.

    Args:
        attempts: `occurred_at`, as `frames.attempts()` returns it.
        tz: the time zone whose hours are meant, e.g. `Europe/Oslo`.
        look: light or dark.
    """
    needs(attempts, "occurred_at")
    title = "Attempts by hour of the week"
    if attempts.empty:
        return nothing(theme(look), title, attempts[["occurred_at"]])
    local = attempts["occurred_at"].dt.tz_convert(tz)
    counted = (
        pd.DataFrame({"day": local.dt.day_of_week, "hour": local.dt.hour})
        .value_counts()
        .reindex(
            pd.MultiIndex.from_product([range(7), range(24)], names=["day", "hour"]),
            fill_value=0,
        )
        .rename("attempts")
        .reset_index()
    )
    counted["weekday"] = counted["day"].map(dict(enumerate(DAYS)))
    shown = theme(look)
    chart = (
        alt.Chart(counted)
        .mark_rect(stroke=shown.background, strokeWidth=1)
        .encode(
            x=alt.X(
                "hour:O", title=f"hour of the day ({tz})", axis=alt.Axis(labelAngle=0)
            ),
            y=alt.Y("weekday:O", sort=list(DAYS), title=None),
            color=alt.Color(
                "attempts:Q",
                title="attempts",
                scale=quantity_scale(shown),
            ),
            tooltip=["weekday:O", "hour:O", alt.Tooltip("attempts:Q", format=",")],
        )
        .properties(width=WIDTH, height=200)
    )
    return finished(chart, counted, shown, title, f"{len(attempts):,} attempts")
