"""How well scores tell attacks from logins, at every line that could be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

MOST_POINTS = 500
LEAST = 1e-3  # the smallest share that a logarithmic axis shows


def curve(scores: DataFrame, attack: str = "attack", score: str = "score") -> DataFrame:
    """Return what each line does: `line`, `caught`, `asked`.

    `caught` is the share of attacks at or above the line (true positive rate), `asked`
    the share of honest logins there, who are asked again for nothing (false positive
    rate). Unscored attempts are on neither side.

    Args:
        scores: one row for each attempt.
        attack: the column that says whether it is one.
        score: the column of scores of one model.

    Returns:
        Every line there is, from one that nothing reaches to one that all do.

    Raises:
        InvalidInput: there are no attacks, or nothing else.
    """
    known = scores[scores[score].notna()]
    is_attack = known[attack].to_numpy(dtype=bool)
    values: Any = known[score].to_numpy(dtype=float)
    if not is_attack.any() or is_attack.all():
        raise InvalidInput("a curve needs scored attacks and scored honest logins")
    lines = np.unique(values)[::-1]
    caught = _share_above(np.sort(values[is_attack]), lines)
    asked = _share_above(np.sort(values[~is_attack]), lines)
    return pd.DataFrame(
        {
            "line": np.concatenate(([np.inf], lines)),
            "caught": np.concatenate(([0.0], caught)),
            "asked": np.concatenate(([0.0], asked)),
        }
    )


def thinned(points: DataFrame) -> DataFrame:
    """Return at most 500 lines of a curve, to draw it; its ends are among them.

    They are as near together where a thousandth is asked or missed as elsewhere, but
    `area` and `caught_at` are exact for the whole curve only.
    """
    if len(points) <= MOST_POINTS:
        return points
    asked: NDArray[np.float64] = points["asked"].to_numpy(dtype=float)
    caught: NDArray[np.float64] = points["caught"].to_numpy(dtype=float)
    missed = 1.0 - caught
    # How far along the curve each line is, on plain axes and on logarithmic ones.
    ratio = np.maximum(asked, LEAST) / np.maximum(missed, LEAST)
    far = asked - missed + np.log10(ratio)
    first, last = float(far[0]), float(far[-1])
    steps = np.linspace(first, last, MOST_POINTS // 2)
    found = np.searchsorted(far, steps)
    # Of a step both sides are kept: it is drawn where it is.
    return points.iloc[np.unique(np.concatenate((np.maximum(found - 1, 0), found)))]


def area(points: DataFrame) -> float:
    """Return the area under a curve: how often an attack scores above a login."""
    asked: Any = points["asked"].to_numpy(dtype=float)
    caught: Any = points["caught"].to_numpy(dtype=float)
    return float(np.sum(np.diff(asked) * (caught[1:] + caught[:-1]) / 2))


def caught_at(points: DataFrame, asked: float) -> float:
    """Return the share of attacks caught where so many honest logins are asked.

    Logins of one score are split, so that the share asked is met exactly.
    """
    xs: NDArray[np.float64] = points["asked"].to_numpy(dtype=float)
    ys: NDArray[np.float64] = points["caught"].to_numpy(dtype=float)
    return float(np.interp(asked, xs, ys))


def _share_above(ordered: NDArray[np.float64], lines: NDArray[np.float64]) -> Any:
    # One division: 5 of 100 is the 0.05 that somebody asks for, and no bit more.
    below = np.searchsorted(ordered, lines, "left")
    return (len(ordered) - below) / len(ordered)
