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
        At most 500 lines from the strictest to none, the ends included.

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
    made = pd.DataFrame(
        {
            "line": np.concatenate(([np.inf], lines)),
            "caught": np.concatenate(([0.0], caught)),
            "asked": np.concatenate(([0.0], asked)),
        }
    )
    if len(made) <= MOST_POINTS:
        return made
    kept = np.unique(np.linspace(0, len(made) - 1, MOST_POINTS).round().astype(int))
    return made.iloc[kept].reset_index(drop=True)


def area(points: DataFrame) -> float:
    """Return the area under a curve: how often an attack scores above a login."""
    asked: Any = points["asked"].to_numpy(dtype=float)
    caught: Any = points["caught"].to_numpy(dtype=float)
    return float(np.sum(np.diff(asked) * (caught[1:] + caught[:-1]) / 2))


def caught_at(points: DataFrame, asked: float) -> float:
    """Return the share of attacks caught where so many honest logins are asked."""
    xs: list[float] = points["asked"].tolist()
    ys: list[float] = points["caught"].tolist()
    return float(np.interp(asked, xs, ys))


def _share_above(ordered: NDArray[np.float64], lines: NDArray[np.float64]) -> Any:
    return 1.0 - np.searchsorted(ordered, lines, "left") / len(ordered)
