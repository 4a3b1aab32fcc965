"""Where to draw the line: what a threshold catches, and whom it asks for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import altair as alt
import pandas as pd

from authkit.analysis.curves import LEAST, area, caught_at, curve, thinned
from authkit.analysis.picture import Picture, finished, needs
from authkit.analysis.theme import ThemeName, theme
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

_SIZE = 360
_MOST_MODELS = 6
Form = Literal["roc", "det", "reauthentication"]
_AXES: dict[Form, tuple[str, str, str, str]] = {
    "roc": ("asked", "caught", "honest logins above the line", "attacks caught"),
    "det": ("asked", "missed", "honest logins above the line", "attacks missed"),
    "reauthentication": (
        "caught",
        "asked",
        "attacks caught",
        "honest logins asked again",
    ),
}
_TITLES: dict[Form, str] = {
    "roc": "What a threshold catches (ROC)",
    "det": "What a threshold misses (DET)",
    "reauthentication": "What catching attacks costs honest users",
}


def score_curves(
    scores: Mapping[str, DataFrame] | DataFrame,
    *,
    form: Form = "roc",
    look: ThemeName = "light",
) -> Picture:
    """Draw the curve of one model or of several, side by side.

    Args:
        scores: a frame with `score` and `attack`, or several by the model's name.
        form: `roc`; `det`, both errors on logarithmic axes, where good models differ;
            or `reauthentication`, the share of honest logins asked again.
        look: light or dark.

    Raises:
        InvalidInput: there is no such form, no attack, or more than six models.
    """
    if form not in _AXES:
        raise InvalidInput(f"form is none of {', '.join(_AXES)}")
    given = {"score": scores} if isinstance(scores, pd.DataFrame) else dict(scores)
    if not 1 <= len(given) <= _MOST_MODELS:
        raise InvalidInput(f"a picture compares one to {_MOST_MODELS} models")
    for frame in given.values():
        needs(frame, "score", "attack")
    points = {name: curve(frame) for name, frame in given.items()}
    drawn = pd.concat(
        thinned(_within(made, form)).assign(model=name) for name, made in points.items()
    )
    drawn["line"] = drawn["line"].where(drawn["line"] < float("inf"))
    drawn["missed"] = 1.0 - drawn["caught"]
    x, y, x_title, y_title = _AXES[form]
    shown = theme(look)
    scale = (
        alt.Scale(type="log", domain=[LEAST, 1.0])
        if form == "det"
        else alt.Scale(domain=[0, 1])
    )
    axis = alt.Axis(format="~%", tickCount=5)
    chart = (
        alt.Chart(drawn)
        .mark_line(interpolate="linear", strokeWidth=2)
        .encode(
            x=alt.X(f"{x}:Q", title=x_title, scale=scale, axis=axis),
            y=alt.Y(f"{y}:Q", title=y_title, scale=scale, axis=axis),
            order=alt.Order("asked:Q"),
            color=alt.Color(
                "model:N",
                title=None,
                scale=alt.Scale(
                    domain=list(points), range=list(shown.categories[: len(points)])
                ),
                legend=alt.Legend() if len(points) > 1 else None,
            ),
            strokeDash=alt.StrokeDash("model:N", sort=list(points), legend=None),
            tooltip=[
                "model:N",
                alt.Tooltip("line:Q", format=".3f"),
                alt.Tooltip("caught:Q", format=".1%"),
                alt.Tooltip("asked:Q", format=".2%"),
            ],
        )
        .properties(width=_SIZE, height=_SIZE)
    )
    said = [
        f"{name}: area {area(made):.3f}; asking 5 % catches {caught_at(made, 0.05):.0%}"
        for name, made in points.items()
    ]
    return finished(chart, drawn.reset_index(drop=True), shown, _TITLES[form], said)


def _within(points: DataFrame, form: Form) -> DataFrame:
    """Return the lines of a curve that a form has room for."""
    if form == "reauthentication":
        # Lines below the one that catches all of them only ask more people.
        return points[points["caught"].shift(fill_value=0.0) < 1.0]
    if form == "det":
        return points[(points["asked"] >= LEAST) & (points["caught"] <= 1.0 - LEAST)]
    return points
