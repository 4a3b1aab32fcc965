"""Risk: how scores are spread, and what one of them is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from authkit.analysis.picture import WIDTH, Picture, finished, needs, nothing
from authkit.analysis.theme import OUTCOMES, ThemeName, theme
from authkit.errors import InvalidInput
from authkit.risk.scoring import Score, terms_of

if TYPE_CHECKING:
    from pandas import DataFrame

_BINS = 20
_MOST_GROUPS = 8


def risk_distribution(
    scores: DataFrame, *, by: str = "outcome", look: ThemeName = "light"
) -> Picture:
    """Draw how the scores of each outcome are spread, each outcome as 100 %.

    Unscored attempts are counted in the subtitle and drawn nowhere: they are not low.

    Args:
        scores: `score` and the column `by`, as `frames.scores()` returns them, of one
            model: scores of different models do not compare.
        by: what to tell apart; at most eight values of it.
        look: light or dark.

    Raises:
        InvalidInput: there are scores of several models.
    """
    needs(scores, "score", by)
    models = _models(scores)
    title = "Risk scores" if not models else f"Risk scores ({models[0]})"
    known = scores[scores["score"].notna()]
    if known.empty:
        return nothing(theme(look), title, known[["score", by]])
    groups = known[by].value_counts().index[:_MOST_GROUPS]
    known = known[known[by].isin(groups)]
    low, high = float(known["score"].min()), float(known["score"].max())
    edges = np.linspace(min(0.0, low), high if high > low else low + 1.0, _BINS + 1)
    rows: list[dict[str, Any]] = []
    for name, part in known.groupby(by, observed=True):
        counts, _ = np.histogram(part["score"].to_numpy(dtype=float), edges)
        rows.extend(
            {
                by: str(name),
                "from": edges[i],
                "to": edges[i + 1],
                "attempts": int(count),
                "share": count / len(part),
                "zero": 0.0,
            }
            for i, count in enumerate(counts)
        )
    counted = pd.DataFrame(rows)
    shown = theme(look)
    groups_shown = sorted(set(counted[by]), key=_rank)
    colours = [
        shown.colour_of(name)
        if name in OUTCOMES
        else shown.categories[place % len(shown.categories)]
        for place, name in enumerate(groups_shown)
    ]
    chart = (
        alt.Chart(counted)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin="binned", title="risk score (no unit; model's own)"),
            x2="to:Q",
            y=alt.Y("share:Q", title="share", axis=alt.Axis(format="%", tickCount=3)),
            color=alt.Color(
                f"{by}:N",
                scale=alt.Scale(domain=groups_shown, range=colours),
                legend=None,
            ),
            row=alt.Row(
                f"{by}:N",
                sort=groups_shown,
                title=None,
                spacing=8,
                header=alt.Header(
                    labelOrient="top", labelAnchor="start", labelFontSize=12
                ),
            ),
            tooltip=[
                f"{by}:N",
                alt.Tooltip("from:Q", format=".2f"),
                alt.Tooltip("to:Q", format=".2f"),
                alt.Tooltip("attempts:Q", format=","),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
        .properties(width=WIDTH - 60, height=80)
    )
    unscored = int(scores["score"].isna().sum())
    said = (
        f"share of each {by}'s scored attempts; {len(known):,} scored,"
        f" {unscored:,} unscored and not shown"
    )
    return finished(chart, counted, shown, title, said)


def explanation(
    terms: Score | Sequence[Mapping[str, Any]], *, look: ThemeName = "light"
) -> Picture:
    """Draw what each level of a login adds to its score, and how often it was seen.

    What lowers the score runs to the left, in another colour.

    Args:
        terms: a score, as `kit.risk.explain(attempt_id)` returns it, or the `terms` of
            a row of `frames.scores()` (clear frames only).
        look: light or dark.

    Raises:
        InvalidInput: there are no terms: the attempt is unscored.
    """
    if isinstance(terms, Score):
        terms = terms_of(terms)
    if not terms:
        raise InvalidInput("there are no terms: the attempt is unscored")
    rows: list[dict[str, Any]] = []
    reached = 0.0
    for term in terms:
        after = reached + float(term["term"])
        rows.append(
            {
                "level": str(term["level"]).replace("_", " "),
                "from": reached,
                "to": after,
                "adds": float(term["term"]),
                "seen": int(term["seen"]),
                "edge": max(reached, after),
                "says": _times(int(term["seen"])),
            }
        )
        reached = after
    built = pd.DataFrame(rows)
    shown = theme(look)
    order = list(built["level"])
    least = min(0.0, float(built["to"].min()))
    levels = alt.Y("level:N", sort=order, title=None)
    bars = (
        alt.Chart(built)
        .mark_bar(height=16)
        .encode(
            x=alt.X(
                "from:Q",
                title="risk score (no unit; model's own)",
                scale=alt.Scale(domain=[least, max(1.0, built["edge"].max())]),
                axis=alt.Axis(tickCount=8),
            ),
            x2="to:Q",
            y=levels,
            color=alt.when(alt.datum.adds < 0)
            .then(alt.value(shown.categories[0]))
            .otherwise(alt.value(shown.accent)),
            tooltip=["level:N", alt.Tooltip("adds:Q", format=".3f"), "seen:Q"],
        )
    )
    words = (
        alt.Chart(built)
        .mark_text(align="left", dx=6, color=shown.muted)
        .encode(x="edge:Q", y=levels, text="says:N")
    )
    chart = (bars + words).properties(width=WIDTH - 160, height=28 * len(built))
    return finished(
        chart,
        built,
        shown,
        f"Why this login scored {reached:.2f}",
        "what each level adds, or takes away",
    )


def _models(scores: DataFrame) -> list[str]:
    if "model" not in scores.columns:
        return []
    version = scores["version"] if "version" in scores.columns else ""
    found = sorted((scores["model"] + " " + version).dropna().unique())
    if len(found) > 1:
        raise InvalidInput(
            f"scores of {', '.join(found)} do not compare: choose one model"
        )
    return found


def _times(seen: int) -> str:
    return {0: "never seen", 1: "seen once"}.get(seen, f"seen {seen:,} times")


def _rank(name: str) -> tuple[int, str]:
    return (OUTCOMES.index(name) if name in OUTCOMES else len(OUTCOMES), name)
