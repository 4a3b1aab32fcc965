"""How pictures look: light and dark, and colours that colour-blind people tell apart.

Categories take the palette of Okabe and Ito (2008), quantities "cividis" (Nunez,
Anderton and Renslow, PLOS ONE 2018), whose order reads the same with every kind of
colour vision and in grey. Nothing is registered: a picture carries its look with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from authkit.errors import InvalidInput

ThemeName = Literal["light", "dark"]

# Palette of Okabe and Ito; black is left out, it is the text's.
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#999999"

_OUTCOMES = ("succeeded", "failed", "denied", "abandoned", "pending")
_SHAPES = ("circle", "triangle-up", "cross", "diamond", "square")


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one look."""

    name: ThemeName
    background: str
    text: str
    muted: str
    grid: str
    accent: str
    outcomes: tuple[str, ...]
    categories: tuple[str, ...]
    reversed_quantities: bool

    def config(self) -> dict[str, Any]:
        """Return the Vega-Lite configuration of a top-level chart."""
        labels = {
            "labelColor": self.text,
            "titleColor": self.text,
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
        }
        return {
            "background": self.background,
            "font": "DejaVu Sans, Verdana, sans-serif",
            "padding": 12,
            "view": {"stroke": None},
            "axis": {
                **labels,
                "domainColor": self.muted,
                "tickColor": self.muted,
                "gridColor": self.grid,
                "titlePadding": 8,
                "labelLimit": 260,
            },
            "legend": {**labels, "symbolSize": 90, "labelLimit": 260},
            "header": labels,
            "title": {
                "anchor": "start",
                "color": self.text,
                "fontSize": 15,
                "fontWeight": "bold",
                "offset": 12,
                "subtitleColor": self.muted,
                "subtitleFontSize": 11,
                "subtitlePadding": 5,
            },
            "text": {"color": self.text},
            "range": {"category": list(self.categories)},
        }

    def colour_of(self, outcome: str) -> str:
        """Return the colour that an outcome has in every picture of this look."""
        return self.outcomes[_OUTCOMES.index(outcome)]


def shape_of(outcome: str) -> str:
    """Return the shape that an outcome has in every picture, for who sees no colour."""
    return _SHAPES[_OUTCOMES.index(outcome)]


OUTCOMES: tuple[str, ...] = _OUTCOMES

LIGHT = Theme(
    name="light",
    background="#FFFFFF",
    text="#222222",
    muted="#6B6B6B",
    grid="#E6E6E6",
    accent=VERMILLION,
    outcomes=(BLUE, ORANGE, VERMILLION, PURPLE, GREY),
    categories=(BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY, GREY),
    reversed_quantities=True,
)
DARK = Theme(
    name="dark",
    background="#16191D",
    text="#E8E8E8",
    muted="#A0A6AD",
    grid="#2C3238",
    accent=YELLOW,
    outcomes=(SKY, ORANGE, VERMILLION, PURPLE, GREY),
    categories=(SKY, ORANGE, GREEN, PURPLE, VERMILLION, YELLOW, GREY),
    reversed_quantities=False,
)


def theme(name: ThemeName) -> Theme:
    """Return a look by its name.

    Raises:
        InvalidInput: there is none.
    """
    for known in (LIGHT, DARK):
        if known.name == name:
            return known
    raise InvalidInput(f"there is no theme {name!r}; there is: light, dark")
