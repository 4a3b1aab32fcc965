"""The pictures that go with the tour: risk and audit, as the notebooks draw them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from authkit.harness.report import Drawing

if TYPE_CHECKING:
    from collections.abc import Callable

    from authkit.analysis.picture import Picture
    from authkit.analysis.theme import ThemeName


@dataclass(frozen=True, slots=True)
class Saved:
    """One picture: what the report shows, and the file it was written to."""

    drawing: Drawing
    path: Path


def warm() -> None:
    """Load what drawing needs, which takes seconds, while others start as well."""
    import_module("authkit.analysis.plots")


def draw(url: str, folder: Path) -> tuple[Saved, ...]:
    """Draw the scores, the guessed passwords and the audit trail of a database.

    Everything is read as an analyst may read it: masked.

    Args:
        url: the node to read.
        folder: where the files go, as SVG.
    """
    from authkit.analysis import Frames
    from authkit.analysis.plots import audit_timeline, risk_distribution, spray_matrix

    frames = Frames(lambda: url, say=_say_nothing)
    scores = frames.scores(since=None)
    attempts = frames.attempts(since=None)
    trail = frames.audit(since=None)
    return (
        _saved(
            "How risky the logins of the synthetic world were",
            folder / "risk.svg",
            lambda look: risk_distribution(scores, look=look),
        ),
        _saved(
            "Who guessed whose password in it",
            folder / "guessing.svg",
            lambda look: spray_matrix(attempts, look=look),
        ),
        _saved(
            "Who changed what in it",
            folder / "audit.svg",
            lambda look: audit_timeline(trail, look=look),
        ),
    )


def _say_nothing(_: str) -> None:
    """The tour tells its own progress."""


def _saved(caption: str, path: Path, plot: Callable[[ThemeName], Picture]) -> Saved:
    drawing = Drawing(caption, plot("light").svg(), plot("dark").svg())
    path.write_text(drawing.light, encoding="utf-8")
    return Saved(drawing, path)
