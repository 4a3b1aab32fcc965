"""Tables to look through and tables to hand over.

`look_through` is interactive: sorted, searched and paged by whoever reads the notebook.
`report` is for print: formatted, with a title and where its rows come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from authkit.errors import InvalidInput

if TYPE_CHECKING:
    from great_tables import GT
    from pandas import DataFrame

_LOOKED_THROUGH = 10_000
_REPORTED = 200


class Interactive:
    """An interactive table; its program is in it, so that it needs no network."""

    def __init__(self, rows: DataFrame, caption: str) -> None:
        self._rows = rows
        self._caption = caption

    def __repr__(self) -> str:
        return f"{self._caption or 'table'}: {len(self._rows):,} rows"

    def _repr_html_(self) -> str:
        from itables import options, to_html_datatable
        from itables.javascript import generate_init_offline_itables_html

        table: Any = to_html_datatable(
            self._rows,
            caption=self._caption or None,
            connected=False,
            showIndex=False,
            maxBytes=0,
            allow_html=False,
        )
        # The table waits for its program, which `itables` expects of another cell.
        return f"{generate_init_offline_itables_html(options.dt_bundle)}{table}"


def look_through(frame: DataFrame, caption: str = "") -> Interactive:
    """Return a table that is sorted, searched and paged in the notebook.

    Raises:
        InvalidInput: it has more than 10,000 rows, which no browser likes.
    """
    if len(frame) > _LOOKED_THROUGH:
        raise InvalidInput(
            f"the table would have {len(frame):,} rows: filter or aggregate first, to"
            f" {_LOOKED_THROUGH:,} at most"
        )
    return Interactive(_flat(frame), caption)


def report(frame: DataFrame, title: str, subtitle: str = "") -> GT:
    """Return a table for a report: numbers grouped, times to the second, a source.

    Args:
        frame: 1 to 200 rows; of a list its length is shown, the index is left out.
        title: above it.
        subtitle: below the title; none where it is empty.

    Raises:
        InvalidInput: it has no row, or more than 200.
    """
    from great_tables import GT

    if not 0 < len(frame) <= _REPORTED:
        raise InvalidInput(
            f"a report's table has 1 to {_REPORTED} rows, not {len(frame):,}"
        )
    flat = _flat(frame)
    made: Any = GT(flat).tab_header(title=title, subtitle=subtitle or None)
    for name in flat.columns:
        kind = flat[name].dtype
        if str(kind).lower().startswith(("int", "uint")):
            made = made.fmt_integer(columns=[name])
        elif str(kind).lower().startswith("float"):
            made = made.fmt_number(columns=[name], decimals=3)
    source = frame.attrs.get("source")
    if source is not None:
        how = "masked" if frame.attrs.get("masked") else "clear"
        made = made.tab_source_note(f"{source}, {how}, from the {frame.attrs['node']}")
    return made


def _flat(frame: DataFrame) -> DataFrame:
    """Return a frame whose lists are counts and whose times are plain text."""
    made = frame.copy(deep=False)
    made.attrs = {}
    for name in made.columns:
        column = made[name]
        if str(column.dtype).startswith("datetime64"):
            made[name] = column.dt.strftime("%Y-%m-%d %H:%M:%S")
        elif column.dtype == object:
            made[name] = [_said(value) for value in column]
    return made


def _said(value: object) -> str:
    if isinstance(value, list):
        return f"{len(cast('list[object]', value))} rows"
    return str(value)
