"""Colours and type of the charts, and their conversion to SVG.

The hues are those of Okabe and Ito (2008), which people who see colours differently can
tell apart. Every colour becomes a CSS variable of the page, so that one SVG serves
light, dark and paper.
"""

from __future__ import annotations

from typing import Any, Final

Spec = dict[str, Any]

PALETTE: Final = (
    "#0072b2",  # blue
    "#e69f00",  # orange
    "#009e73",  # green
    "#cc79a7",  # purple
    "#56b4e9",  # sky
    "#d55e00",  # vermilion
)
ROLE_COLOURS: Final = {"primary": "#009e73", "replica": "#56b4e9", "down": "#d55e00"}
# Each stands for a CSS variable of the page; the first four are no colours of ours.
_VARIABLES: Final = {
    "#010203": "var(--ink)",
    "#040506": "var(--soft)",
    "#070809": "var(--grid)",
    "#0a0b0c": "var(--shade)",
    **{colour: f"var(--c{number})" for number, colour in enumerate(PALETTE, 1)},
}
INK, SOFT, GRID, SHADE = tuple(_VARIABLES)[:4]
_CONFIG: Final[Spec] = {
    "background": None,
    "font": "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif",
    "view": {"stroke": GRID},
    "axis": {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "tickColor": GRID,
        "domainColor": GRID,
        "gridColor": GRID,
        "titleFontWeight": "normal",
        "titleFontSize": 11,
        "labelFontSize": 11,
    },
    "title": {"color": INK, "fontSize": 12, "fontWeight": 600},
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "orient": "top",
        "direction": "horizontal",
        "labelFontSize": 11,
        "symbolSize": 90,
        "columnPadding": 24,
        "offset": 6,
    },
    "concat": {"spacing": 10},
}


def svg(spec: Spec) -> str:
    """Render a Vega-Lite specification; colours follow the page's light or dark."""
    import vl_convert

    text: str = vl_convert.vegalite_to_svg({**spec, "config": _CONFIG})
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text
