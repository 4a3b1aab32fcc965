"""How a score shows itself in a notebook: its terms as a waterfall of bars."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authkit.risk.scoring import Score

_RAISES, _LOWERS = "#d55e00", "#0072b2"  # apart for colour-blind people (Okabe, Ito)


def page_of(score: Score) -> str:
    """Return HTML: what was compared, and what each level added, in turn."""
    said = f"<b>unscored</b>: {escape(score.unscored or 'nothing to compare with')}"
    if score.value is not None:
        said = f"<b>{score.value:.2f}</b>"
    head = (
        f"<p>risk score {said} <small>{escape(score.model)} {escape(score.version)},"
        f" {score.n:,} logins of this user, {score.total:,} of everybody</small></p>"
    )
    if not score.terms:
        return head
    steps = [term.contribution for term in score.terms]
    rows = "".join(
        f"<tr><td>{escape(term.level.replace('_', ' '))}</td>"
        f"<td>seen {term.seen:,}</td><td>{term.contribution:+.2f}</td><td>{bar}</td>"
        "</tr>"
        for term, bar in zip(score.terms, _bars(steps), strict=True)
    )
    titles = "".join(f"<th>{name}</th>" for name in ("level", "times", "adds", ""))
    return f"{head}<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"


def _bars(steps: Sequence[float]) -> list[str]:
    ends = list(accumulate(steps, initial=0.0))
    least, span = min(ends), max(ends) - min(ends) or 1.0
    return [
        '<div style="width:240px"><div style="height:10px;'
        f"margin-left:{100 * (min(start, end) - least) / span:.1f}%;"
        f"width:max(1px,{100 * abs(end - start) / span:.1f}%);"
        f'background:{_RAISES if end > start else _LOWERS}"></div></div>'
        for start, end in pairwise(ends)
    ]
