"""The pictures that go with the tour: risk and audit, as the notebooks draw them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: what it shows, its SVG, and the file it was written to."""

    caption: str
    svg: str
    path: Path


def draw(url: str, folder: Path) -> tuple[Picture, ...]:
    """Draw what there is to draw."""
    del url, folder
    return ()
