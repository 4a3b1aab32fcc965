"""Impossible travel: two successes further apart than anybody could have gone.

Country level, unless somebody tells where addresses are: an attempt says its country,
and a country is one point. What is nearer than `least_km` says nothing, because
countries are large and borders near.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from authkit.analysis.picture import needs
from authkit.errors import InvalidInput
from authkit.risk.places import PLACES

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Places = Mapping[str, tuple[float, float]]
_EARTH_KM = 6371.0


def impossible_travel(
    attempts: DataFrame,
    *,
    places: Places = PLACES,
    located: Places | None = None,
    least_km: float = 500.0,
    km_per_hour: float = 800.0,
) -> DataFrame:
    """Return each pair of successes of a user that no journey joins.

    Args:
        attempts: `id`, `occurred_at`, `user`, `country`, `outcome`.
        places: degrees north and east by country code.
        located: degrees north and east by address, where they are known; before the
            country. Needs `address`.
        least_km: what is nearer is no finding.
        km_per_hour: what is slower is no finding (an airliner flies about 900 km/h;
            the way to and from the airport is in the difference).

    Returns:
        `user`, `first`, `last`, `from`, `to`, `km`, `km_per_hour`, `evidence`; in
        `attrs["unplaced"]` the countries of successes whose place nobody told.

    Raises:
        InvalidInput: a limit is not positive.
    """
    if least_km <= 0 or km_per_hour <= 0:
        raise InvalidInput("the limits of travel must be positive")
    needs(attempts, "id", "occurred_at", "user", "country", "outcome")
    right = attempts[(attempts["outcome"] == "succeeded") & attempts["user"].notna()]
    right = right.sort_values(["user", "occurred_at", "id"])
    where = _placed(right["country"], places)
    unplaced = sorted(map(str, right.loc[where.isna(), "country"].dropna().unique()))
    if located:
        needs(attempts, "address")
        where = _placed(right["address"], located).fillna(where)
    right = right[where.notna()]
    degrees = np.array(list(where.dropna()), dtype=float).reshape(-1, 2)
    before = right.shift()
    km = np.zeros(len(right))
    if len(right) > 1:
        km[1:] = _distance(degrees[:-1], degrees[1:])
    hours = (right["occurred_at"] - before["occurred_at"]).dt.total_seconds() / 3600
    speed = km / np.maximum(hours.fillna(0.0).to_numpy(), 1 / 3600)
    hit = (
        (before["user"] == right["user"]).fillna(False).to_numpy(dtype=bool)
        & (km >= least_km)
        & (speed > km_per_hour)
    )
    pairs = pd.DataFrame(
        {
            "user": right["user"],
            "first": before["occurred_at"],
            "last": right["occurred_at"],
            "from": before["country"],
            "to": right["country"],
            "km": km.round(),
            "km_per_hour": speed.round(),
            "evidence": [list(pair) for pair in zip(before["id"], right["id"])],  # noqa: B905 # one index
        }
    )
    made = cast("DataFrame", pairs.loc[hit])
    made = made.sort_values("last", ignore_index=True)
    made.attrs["unplaced"] = unplaced
    return made


def _placed(names: Series[Any], places: Places) -> Series[Any]:
    found = [places.get(str(name)) for name in names]
    return pd.Series(found, index=names.index, dtype=object)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return kilometres on a sphere (haversine formula)."""
    one, two = np.radians(a), np.radians(b)
    across = (two - one) / 2
    chord = (
        np.sin(across[:, 0]) ** 2
        + np.cos(one[:, 0]) * np.cos(two[:, 0]) * np.sin(across[:, 1]) ** 2
    )
    return 2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(chord, 0.0, 1.0)))
