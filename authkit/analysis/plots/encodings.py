"""What several pictures share: outcomes by colour and shape, time in UTC, counts."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt

from authkit.analysis.theme import OUTCOMES, Theme, shape_of


def counted_as(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun: `1 entry`, `2 entries`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def present(outcomes: Iterable[str]) -> list[str]:
    """Return the outcomes that occur, in their fixed order."""
    found = set(outcomes)
    return [outcome for outcome in OUTCOMES if outcome in found]


def outcome_colour(outcomes: Iterable[str], look: Theme) -> alt.Color:
    """Return the colour encoding of the outcomes that occur."""
    domain = present(outcomes)
    return alt.Color(
        "outcome:N",
        title="outcome",
        scale=alt.Scale(domain=domain, range=[look.colour_of(o) for o in domain]),
    )


def outcome_shape(outcomes: Iterable[str]) -> alt.Shape:
    """Return the shape encoding of the outcomes that occur."""
    domain = present(outcomes)
    return alt.Shape(
        "outcome:N",
        title="outcome",
        scale=alt.Scale(domain=domain, range=[shape_of(o) for o in domain]),
    )


def utc(field: str, *, titled: bool = True) -> alt.X:
    """Return the time axis: UTC, whatever zone the browser is in."""
    return alt.X(
        f"{field}:T",
        scale=alt.Scale(type="utc"),
        title="time (UTC)" if titled else None,
    )


def entries_size(most: int, title: str) -> alt.Size:
    """Return the size encoding of counts; no legend where every mark is one."""
    return alt.Size(
        f"{title}:Q",
        title=title,
        scale=alt.Scale(range=[50, 400] if most > 1 else [60, 60]),
        legend=alt.Legend(values=_whole(most), format="d") if most > 1 else None,
    )


def _whole(most: int) -> list[int]:
    """Return one, the most there is, and what lies halfway."""
    return sorted({1, (1 + most) // 2, most})


def quantity_scale(
    look: Theme,
    *,
    log: bool = False,
) -> alt.Scale:
    """Return the colour scale of counts: few is near the background, many stands out.

    The end that would vanish into the background is cut off.
    """
    extent = [0.0, 0.95] if look.reversed_quantities else [0.15, 1.0]
    return alt.Scale(
        type="log" if log else "linear",
        domainMin=1 if log else 0,
        scheme=alt.SchemeParams(name="cividis", extent=extent),
        reverse=look.reversed_quantities,
    )
