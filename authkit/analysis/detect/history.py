"""Detectors that look one attempt up against what went before, or against a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pandas as pd

from authkit.analysis.detect.found import TOLD, Found
from authkit.analysis.detect.travel import impossible_travel
from authkit.errors import InvalidInput

Values = Mapping[str, Any]
# pandas-stubs do not know what a mask or a grouping leaves of a frame.
Rows = Any
Find = Callable[[Rows, Values], Iterator[Found]]


def _passed(rows: Rows) -> Rows:
    return rows.loc[
        (rows["outcome"] == "succeeded")
        & (rows["stage"] == "primary")
        & rows["user"].notna()
    ]


def _new(column: str) -> Find:
    """Return the detector of a value that the last successes of a user did not have."""

    def find(rows: Rows, values: Values) -> Iterator[Found]:
        passed = _passed(rows)
        place = passed.groupby("user", sort=False).cumcount()
        passed = passed.assign(place=place)
        before = passed.groupby(["user", column], sort=False)["place"].shift()
        new = (
            passed[column].notna()
            & (place >= values["least"])
            & (before.isna() | (place - before > values["last"]))
        )
        yield from _each(passed[new])

    return find


def _dormant(rows: Rows, values: Values) -> Iterator[Found]:
    passed = _passed(rows)
    before = passed.groupby("user", sort=False)["occurred_at"].shift()
    since: Any = values.get("created")
    if since is not None:
        before = before.fillna(passed["user"].map(since))
    for found in _each(passed[passed["occurred_at"] - before >= values["unused"]]):
        yield Found(found.about, found.rows, True, before[found.rows.index[0]])


def _each(rows: Rows) -> Iterator[Found]:
    told = rows[TOLD]
    for at, user in enumerate(told["user"]):
        yield Found(str(user), told.iloc[at : at + 1], True)


def _listed(rows: Rows, values: Values) -> Iterator[Found]:
    networks = [_network(text) for text in values["networks"]]
    if not networks:
        return
    masked = bool(rows.attrs.get("masked"))
    column = "network" if masked else "address"
    wide = {4: 24, 6: 48}
    if masked and any(n.prefixlen > wide[n.version] for n in networks):
        raise InvalidInput(
            "masked frames tell networks down to a /24 (IPv6: /48): list such ones, or"
            " look in clear frames"
        )
    listed = {
        text
        for text in rows[column].dropna().unique()
        if any(_inside(str(text), network) for network in networks)
    }
    chosen = rows[rows[column].isin(listed)]
    for address, positions in chosen.groupby("address", sort=False).indices.items():
        part = chosen.iloc[positions]
        yield Found(str(address), part, bool((part["outcome"] == "succeeded").any()))


def _network(text: str) -> Any:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise InvalidInput(f"{text} is no network") from None


def _inside(text: str, network: Any) -> bool:
    return ip_address(text.partition("/")[0]) in network


def _travel(rows: Rows, values: Values) -> Iterator[Found]:
    def read(told: list[str]) -> dict[str, tuple[float, float]]:
        parts = (row.split() for row in told)
        return {name: (float(north), float(east)) for name, north, east in parts}

    pairs = impossible_travel(
        rows,
        places=read(values["places"]),
        located=read(values["located"]),
        least_km=values["km"],
        km_per_hour=values["km_per_hour"],
    )
    by_id = rows[TOLD].set_index("id", drop=False)
    for user, evidence in zip(pairs["user"], pairs["evidence"], strict=True):
        yield Found(str(user), by_id.loc[evidence], True)


def _reused(rows: Rows, values: Values) -> Iterator[Found]:
    refused = rows[
        (rows["method"] == "refresh_token")
        & (rows["failure_reason"] == values["reason"])
    ]
    for at in range(len(refused)):
        part = refused.iloc[at : at + 1]
        about = part[["user", "client"]].bfill(axis=1).iloc[0, 0]
        yield Found("nobody" if pd.isna(about) else str(about), part, True)


HISTORY: dict[str, Find] = {
    "new_device": _new("device"),
    "new_network": _new("asn"),
    "new_country": _new("country"),
    "dormant_account": _dormant,
    "listed_address": _listed,
    "impossible_travel": _travel,
    "refresh_reuse": _reused,
}
