"""An evaluation as a picture: areas with intervals, by history, and what is asked."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from authkit.analysis.picture import Picture, finished
from authkit.analysis.theme import ThemeName, theme
from authkit.evaluation.evaluate import CEILING, Evaluation
from authkit.risk import MODELS

_TITLE = "How well the risk models tell takeovers from logins"
_WIDTH, _HEIGHT = 220, 200


def draw(
    evaluation: Evaluation, *, synthetic: bool, look: ThemeName = "light"
) -> Picture:
    """Draw three panels: ROC AUC with its interval, by history, and who is asked."""
    shown = theme(look)
    names = [*MODELS, CEILING]
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=names, range=list(shown.categories[: len(names)])),
    )
    rows = pd.DataFrame(_rows(evaluation))
    area = alt.Y("auc:Q", title="ROC AUC", scale=alt.Scale(zero=False))
    whole = alt.Chart(rows[rows["panel"] == "interval"])
    panels = [
        alt.layer(
            whole.mark_rule(strokeWidth=2).encode(
                x=alt.X("at:N", title="takeover"),
                xOffset=alt.XOffset("model:N", sort=names),
                y=alt.Y("low:Q", title="ROC AUC", scale=alt.Scale(zero=False)),
                y2="high:Q",
                color=colour,
            ),
            whole.mark_point(filled=True, size=50).encode(
                x="at:N",
                xOffset=alt.XOffset("model:N", sort=names),
                y=area,
                color=colour,
                tooltip=["model:N", "at:N", "auc:Q", "low:Q", "high:Q"],
            ),
        ),
        alt.Chart(rows[rows["panel"] == "history"])
        .mark_point(filled=True, size=50)
        .encode(
            x=alt.X("at:N", title="takeover, by the user's logins before", sort=None),
            xOffset=alt.XOffset("model:N", sort=names),
            y=area,
            color=colour,
            tooltip=["model:N", "at:N", "auc:Q"],
        ),
        alt.Chart(rows[rows["panel"] == "asked"])
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("login:Q", title="logins of a user"),
            y=alt.Y("auc:Q", title="asked again, median"),
            color=colour,
        ),
    ]
    widths = (_WIDTH, 2 * _WIDTH, _WIDTH)
    chart = alt.hconcat(
        *(
            panel.properties(width=width, height=_HEIGHT)
            for panel, width in zip(panels, widths, strict=True)
        ),
        resolve=alt.Resolve(scale=alt.ScaleResolveMap(xOffset="independent")),
    )
    said = "Results on synthetic worlds" if synthetic else "On the published data set"
    return finished(chart, rows, shown, _TITLE, said)


def _rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for kind, models in evaluation.measured.items():
        for name in (*MODELS, CEILING):
            if name not in models:
                continue
            found = models[name]
            low, high = found.interval
            one = {"model": name, "at": kind.replace("_", " ")}
            made.append(
                {**one, "panel": "interval", "auc": found.auc, "low": low, "high": high}
            )
            made.extend(
                {
                    **one,
                    "panel": "history",
                    "auc": value,
                    "at": f"{one['at']}, {logins}",
                }
                for logins, value in found.strata.items()
            )
    made.extend(
        {"panel": "asked", "model": name, "login": at, "auc": value}
        for name, asked in evaluation.reauthentications.items()
        if name in MODELS
        for at, value in enumerate(asked, 1)
    )
    return made
