"""One user's timeline: which devices, from which networks, with what outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from authkit.analysis.theme import Theme, ThemeName, theme
from authkit.errors import InvalidInput
from authkit.risk.browser import browser

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_MOST_LANES = 12
_MOST_POINTS = 2_000
_OTHER = "others"


def user_timeline(attempts: DataFrame, *, look: ThemeName = "light") -> Picture:
    """Draw the attempts of one user in lanes of devices and of networks.

    More than 2,000 attempts are counted in bins of time first.

    Args:
        attempts: the attempts of one user, as `frames.attempts(user=...)` returns them.
        look: light or dark.

    Raises:
        InvalidInput: they are of several users.
    """
    needs(
        attempts,
        "occurred_at",
        "user",
        "device",
        "user_agent",
        "asn",
        "country",
        "outcome",
    )
    title = "Timeline of one user"
    if attempts.empty:
        return nothing(theme(look), title, attempts[["occurred_at", "outcome"]])
    users = attempts["user"].nunique()
    if users != 1:
        raise InvalidInput(f"a timeline is of one user; these are {users}")
    told = attempts.assign(
        device_lane=_lanes(_device_names(attempts)),
        network_lane=_lanes(_network_names(attempts)),
    )
    if len(told) > _MOST_POINTS:
        step, _ = bin_for(told["occurred_at"])
        told = told.assign(occurred_at=told["occurred_at"].dt.floor(step))
    counted = (
        told.groupby(
            ["occurred_at", "device_lane", "network_lane", "outcome"], observed=True
        )
        .size()
        .rename("attempts")
        .reset_index()
    )
    shown = theme(look)
    chart = alt.vconcat(
        _panel(counted, "device_lane", "Devices", shown, bottom=False),
        _panel(counted, "network_lane", "Networks", shown, bottom=True),
        spacing=14,
        resolve=alt.Resolve(scale=alt.ScaleResolveMap(x="shared")),
    )
    said = (
        f"{counted_as(len(attempts), 'attempt')} of …{attempts['user'].iloc[0][-10:]},"
        f" {counted_as(attempts['device'].nunique(), 'device')},"
        f" {counted_as(attempts['country'].nunique(), 'country', 'countries')}"
    )
    return finished(chart, counted, shown, title, said)


def _panel(
    counted: DataFrame, lane: str, words: str, look: Theme, *, bottom: bool
) -> alt.Chart:
    order = list(counted.groupby(lane)["occurred_at"].min().sort_values().index)
    return (
        alt.Chart(counted, title=alt.TitleParams(words, fontSize=12))
        .mark_point(filled=True, opacity=0.8)
        .encode(
            x=utc("occurred_at", titled=bottom),
            y=alt.Y(f"{lane}:N", sort=order, title=None),
            color=outcome_colour(counted["outcome"], look),
            shape=outcome_shape(counted["outcome"]),
            size=entries_size(int(counted["attempts"].max()), "attempts"),
            tooltip=[
                alt.Tooltip("occurred_at:T", title="time"),
                alt.Tooltip("device_lane:N", title="device"),
                alt.Tooltip("network_lane:N", title="network"),
                "outcome:N",
                "attempts:Q",
            ],
        )
        .properties(width=WIDTH - 180, height=22 * max(2, len(order)))
    )


def _device_names(attempts: DataFrame) -> Series[Any]:
    """Name each device by its latest browser; two of a kind by the end of their id."""
    last = attempts.sort_values("occurred_at").groupby("device")["user_agent"].last()
    names: dict[str, str] = {}
    for device, agent in last.items():
        read = browser(str(agent))
        names[str(device)] = f"{read.browser}, {read.system} · {str(device)[-4:]}"
    return attempts["device"].map(names).fillna("unknown")


def _network_names(attempts: DataFrame) -> Series[Any]:
    asn = attempts["asn"].astype("string").fillna("?")
    return attempts["country"].astype("string").fillna("??") + " AS" + asn


def _lanes(names: Series[Any]) -> Series[Any]:
    kept = names.value_counts().index[:_MOST_LANES]
    return names.where(names.isin(kept), _OTHER)
