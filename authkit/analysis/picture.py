"""A picture: the chart and the aggregated rows it shows; it shows itself in Jupyter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import vl_convert

from authkit.analysis.theme import Theme
from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_MARKS = 5_000
WIDTH = 640
_VEGA_LITE_5 = "application/vnd.vegalite.v5+json"
_SCHEMA_5 = "https://vega.github.io/schema/vega-lite/v5.20.1.json"

AnyChart = (
    alt.Chart | alt.LayerChart | alt.VConcatChart | alt.HConcatChart | alt.FacetChart
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart beside its data; `chart, frame = picture` takes them apart.

    In Jupyter it shows itself without a network: as Vega-Lite 5, which is what
    JupyterLab has built in, and as SVG for everything else. No picture uses what
    Vega-Lite 6 added, so both versions draw the same.
    """

    chart: AnyChart
    frame: DataFrame

    def __iter__(self) -> Iterator[Any]:
        return iter((self.chart, self.frame))

    def spec(self) -> dict[str, Any]:
        """Return the Vega-Lite specification, its data included."""
        return self.chart.to_dict()

    def svg(self) -> str:
        """Draw it as SVG, by itself: no browser and no network."""
        return vl_convert.vegalite_to_svg(self.spec())

    def png(self, *, scale: float = 2.0) -> bytes:
        """Draw it as PNG, by itself, with `scale` pixels to each of the chart's."""
        return vl_convert.vegalite_to_png(self.spec(), scale=scale)

    def html(self) -> str:
        """Return a page of its own, its program included: it needs no network."""
        return vl_convert.vegalite_to_html(self.spec(), bundle=True)

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, Any]:
        del include, exclude
        return {
            _VEGA_LITE_5: {**self.spec(), "$schema": _SCHEMA_5},
            "image/svg+xml": self.svg(),
            "text/plain": f"a picture of {len(self.frame):,} aggregated rows",
        }


def save(picture: Picture, path: Path | str, *, scale: float = 2.0) -> Path:
    """Write a picture as .png, .svg, .html or .json; returns where it stands.

    Raises:
        InvalidInput: the ending is another one, or the file cannot be written.
    """
    target = Path(path)
    match target.suffix.lower():
        case ".png":
            content = picture.png(scale=scale)
        case ".svg":
            content = picture.svg().encode()
        case ".html":
            content = picture.html().encode()
        case ".json":
            content = picture.chart.to_json().encode()
        case other:
            raise InvalidInput(
                f"a picture is saved as .png, .svg, .html or .json, not {other!r}"
            )
    try:
        target.write_bytes(content)
    except OSError as exc:
        raise InvalidInput(f"cannot write {target}: {exc.strerror}") from exc
    return target


def needs(frame: DataFrame, *columns: str) -> None:
    """See that a frame has the columns that a picture is made of.

    Raises:
        InvalidInput: it lacks some.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InvalidInput(f"the frame lacks {', '.join(missing)}")


def finished(
    chart: AnyChart,
    frame: DataFrame,
    look: Theme,
    title: str,
    subtitle: str | Sequence[str] = (),
) -> Picture:
    """Give a chart its title and look; refuse one of too many marks.

    Raises:
        InvalidInput: it would have more than 5,000 marks.
    """
    if len(frame) > MAX_MARKS:
        raise InvalidInput(
            f"the picture would have {len(frame):,} marks: ask for a shorter time"
        )
    lines = [subtitle] if isinstance(subtitle, str) else list(subtitle)
    titled = chart.properties(
        title=alt.TitleParams(title, subtitle=[line for line in lines if line])
    )
    made: AnyChart = titled.configure(**look.config())  # pyright: ignore[reportUnknownMemberType] # Altair's own untyped **kwds
    return Picture(made, frame)


def nothing(look: Theme, title: str, frame: DataFrame) -> Picture:
    """Return the picture of a window without rows: a sentence, not an error."""
    said = alt.Data(values=[{"says": "Nothing in this window."}])
    chart = (
        alt.Chart(said)
        .mark_text(fontSize=14, color=look.muted)
        .encode(text="says:N")
        .properties(width=WIDTH, height=60)
    )
    return finished(chart, frame, look, title)
