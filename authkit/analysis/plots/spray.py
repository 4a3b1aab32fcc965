"""Who is tried from where: the matrix in which spraying and stuffing show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from authkit.analysis.picture import Picture, finished, needs, nothing
from authkit.analysis.plots.encodings import quantity_scale
from authkit.analysis.theme import ThemeName, theme
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

_SHORT = 10
_MOST = 70
_MOSTLY = 0.5
_TRIES = 5
_PEOPLE = 3


def spray_matrix(
    attempts: DataFrame,
    *,
    users: int = 42,
    addresses: int = 30,
    look: ThemeName = "light",
) -> Picture:
    """Draw wrong passwords by user and address, of the addresses that mostly fail.

    A row of marks is one address trying many people (spraying and stuffing, ATT&CK
    T1110.003 and T1110.004), a column one person tried from many addresses. A ring
    marks where a right password followed.

    Drawn are addresses of whose attempts more than half are wrong, with five wrong ones
    or three people at least, half of them by reach and half by tries; where there is no
    such address, any with a wrong one. An attempt without a user or address is not.

    Args:
        attempts: with `user`, `address`, `network`, `outcome` and `occurred_at`, a row
            for each, as `frames.attempts()` returns them; masked or clear.
        users: how many users at most: 1 to 70.
        addresses: how many addresses at most: 1 to 70.
        look: light or dark.

    Returns:
        The chart and its frame, one row for each mark: `user`, `address`, `network`,
        `wrong` (attempts), `entered` (bool: the ring), and their labels `who`, `where`.

    Raises:
        InvalidInput: a column is missing, or a number is not from 1 to 70.
    """
    needs(attempts, "user", "address", "network", "outcome", "occurred_at")
    if not (1 <= users <= _MOST and 1 <= addresses <= _MOST):
        raise InvalidInput(f"users and addresses must be between 1 and {_MOST}")
    title = "Wrong passwords by user and address"
    known = attempts[attempts["user"].notna() & attempts["address"].notna()]
    wrong = known[known["outcome"].isin(("failed", "denied"))]
    if wrong.empty:
        return nothing(theme(look), title, wrong[["user", "address"]])
    worst = _worst_addresses(known, wrong, addresses)
    seen = wrong[wrong["address"].isin(worst)]
    people = _their_victims(seen, worst, users)
    cells = (
        seen[seen["user"].isin(people)]
        .groupby(["user", "address", "network"], observed=True)
        .agg(wrong=("outcome", "size"), first=("occurred_at", "min"))
        .reset_index()
    )
    right = known[known["outcome"] == "succeeded"]
    entered = (
        right.groupby(["user", "address"])["occurred_at"].max().rename("entered_at")
    )
    cells = cells.join(entered, on=["user", "address"])
    cells["entered"] = (cells["entered_at"] > cells["first"]).astype(bool)
    cells = cells.drop(columns=["entered_at", "first"])
    cells["who"] = cells["user"].str.slice(-_SHORT)
    cells["where"] = cells["network"] + " · " + cells["address"].str.slice(-4)
    shown = theme(look)
    where_order = list(
        cells.groupby("where")["who"].nunique().sort_values(ascending=False).index
    )
    # Victims stand in the order of the address that tried them: campaigns are blocks.
    ranks = cells["where"].map({name: i for i, name in enumerate(where_order)})
    people_order = list(ranks.groupby(cells["who"]).min().sort_values().index)
    x = alt.X(
        "who:N",
        sort=people_order,
        title="user (end of the token or id)",
        axis=alt.Axis(labelAngle=-90, labelFontSize=9),
    )
    y = alt.Y(
        "where:N",
        sort=where_order,
        title="network · end of the address",
        axis=alt.Axis(labelFontSize=9),
    )
    squares = (
        alt.Chart(cells)
        .mark_rect(stroke=shown.background, strokeWidth=0.5)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "wrong:Q",
                title="wrong passwords",
                scale=quantity_scale(shown, log=True),
                legend=alt.Legend(tickCount=4, format="d"),
            ),
            tooltip=["user:N", "address:N", "network:N", "wrong:Q", "entered:N"],
        )
    )
    rings = (
        alt.Chart(cells)
        .transform_filter("datum.entered")
        .mark_point(
            size=55,
            filled=True,
            fill=shown.background,
            fillOpacity=1,
            stroke=shown.accent,
            strokeWidth=2.5,
            opacity=1,
        )
        .encode(x=x, y=y)
    )
    step = 14
    chart = (squares + rings).properties(width=alt.Step(step), height=alt.Step(step))
    taken = int(cells["entered"].sum())
    said = (
        f"{cells['user'].nunique()} users and {cells['address'].nunique()} addresses"
        f" of {wrong['user'].nunique():,} and {wrong['address'].nunique():,};"
        f" rings: a right password followed ({taken})"
    )
    return finished(chart, cells, shown, title, said)


def _worst_addresses(known: DataFrame, wrong: DataFrame, most: int) -> list[str]:
    """Choose addresses that fail more often than not, the widest reaching first.

    Every other one is chosen by the number of tries instead, so that brute force on one
    person is not crowded out by lists of many.
    """
    failing = wrong["address"].value_counts()
    share = failing / known["address"].value_counts().reindex(failing.index)
    reaching = wrong.groupby("address")["user"].nunique().reindex(failing.index)
    busy = (failing >= _TRIES) | (reaching >= _PEOPLE)
    suspects = wrong[wrong["address"].isin(share.index[(share > _MOSTLY) & busy])]
    if suspects.empty:
        suspects = wrong
    reach = suspects.groupby("address")["user"].nunique().nlargest(most)
    tries = suspects["address"].value_counts().nlargest(most)
    chosen: dict[str, None] = {}
    for pair in zip(reach.index, tries.index, strict=True):
        chosen.update(dict.fromkeys(str(address) for address in pair))
    return list(chosen)[:most]


def _their_victims(seen: DataFrame, addresses: list[str], most: int) -> list[str]:
    """Choose users: of each address as many as its share of the reach, at least one."""
    lists: dict[str, list[str]] = {
        str(address): [str(user) for user in part["user"].value_counts().index]
        for address, part in seen.groupby("address")
    }
    reach = sum(map(len, lists.values()))
    chosen: dict[str, None] = {}
    for address in sorted(addresses, key=lambda name: -len(lists[name])):
        share = max(1, most * len(lists[address]) // reach)
        chosen.update(dict.fromkeys(lists[address][:share]))
    return list(chosen)[:most]
