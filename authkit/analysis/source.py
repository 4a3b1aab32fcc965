"""A kind of rows: where they stand, their time, their columns, their SELECT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from authkit.analysis.window import Window
from authkit.errors import InvalidInput, NotPermitted


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a frame and the SQL it comes from; None: not shown when masked."""

    name: str
    clear: str
    masked: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of a WHERE clause with one `{}` where its parameter's number goes."""

    sql: str
    value: object


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of rows: where they stand, their time, their columns."""

    name: str
    table: str
    view: str | None
    time: str
    columns: tuple[Column, ...]
    condition: str | None = None
    # What says of a row that it may still change; no row changes twice.
    unsettled: str = "false"

    def relation(self, *, masked: bool) -> str:
        """Return the table, or the view that masks it.

        Raises:
            NotPermitted: there is no masked view of it.
        """
        if not masked:
            return self.table
        if self.view is None:
            raise NotPermitted(
                f"{self.name} has no masked view, so the analyst's role may not read"
                " it: use Frames(..., masked=False) with a role that may"
            )
        return self.view

    def select(
        self,
        within: Window,
        conditions: Sequence[Condition],
        wanted: Sequence[str] | None,
        *,
        masked: bool,
    ) -> tuple[str, list[object]]:
        """Return the SELECT of a window in order of time, and its parameters.

        Raises:
            InvalidInput: a column is not there, or not when masked.
            NotPermitted: there is no masked view of it.
        """
        held = list(conditions)
        if within.since is not None:
            held.append(Condition(f"{self.time} >= {{}}", within.since))
        if within.until is not None:
            held.append(Condition(f"{self.time} < {{}}", within.until))
        relation = self.relation(masked=masked)
        listed = ", ".join(
            f'{column.masked if masked else column.clear} AS "{column.name}"'
            for column in self.chosen(wanted, masked=masked)
        )
        where = [self.condition] if self.condition else []
        where += [
            condition.sql.format(f"${number}")
            for number, condition in enumerate(held, start=1)
        ]
        filtered = f" WHERE {' AND '.join(where)}" if where else ""
        return (
            f"SELECT {listed} FROM {relation}{filtered} ORDER BY {self.time}",  # noqa: S608 # names of our own; every value is a parameter
            [condition.value for condition in held],
        )

    def tally(self, within: Window, *, masked: bool) -> tuple[str, list[object]]:
        """Return the SELECT of two numbers: all rows of a window, those not settled.

        Rows come and settle once, and go only when they are too old to be kept: while
        both numbers stay, every row has. The `condition` is left out, because a row
        that settles may begin to fulfil it.

        Raises:
            NotPermitted: there is no masked view of it.
        """
        pending = f"count(*) FILTER (WHERE {self.unsettled})"
        return (
            f"SELECT count(*) AS rows, {pending} AS pending"  # noqa: S608 # names of our own; every value is a parameter
            f" FROM {self.relation(masked=masked)}"
            f" WHERE {self.time} >= $1 AND {self.time} < $2"
        ), [within.since, within.until]

    def chosen(
        self, wanted: Sequence[str] | None, *, masked: bool
    ) -> tuple[Column, ...]:
        """Return the columns of a frame, all of them where none are named.

        Raises:
            InvalidInput: one is not there, or not when masked.
        """
        there = {c.name: c for c in self.columns if not masked or c.masked is not None}
        if wanted is None:
            return tuple(there.values())
        if isinstance(wanted, str):
            raise InvalidInput("columns is a list of names, not one text")
        if missing := [name for name in wanted if name not in there]:
            raise InvalidInput(
                f"{self.name} has no column {', '.join(map(str, missing))}"
                f"{' when masked' if masked else ''}; it has: {', '.join(there)}"
            )
        if not wanted:
            raise InvalidInput("columns is empty")
        return tuple(there[name] for name in dict.fromkeys(wanted))


def same(name: str, column: str | None = None) -> Column:
    """Return a column that is shown as it is."""
    return Column(name, column or name, column or name)
